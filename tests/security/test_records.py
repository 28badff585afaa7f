"""A recording with valid checksums, written by an enemy, makes hashmake neither write elsewhere nor start anything."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from hashmake.model.result import KEPT
from hashmake.run.directory import boot_id
from hashmake.state.database import Database
from hashmake.state.directory import StateDirectory
from hashmake.state.secret import sealer

if TYPE_CHECKING:
    from pathlib import Path

    from hashmake.model.recording import Recording
    from hashmake.model.result import Result

    from .conftest import Tree

COPY = "all: a.out\na.out: a.in\n\tcp a.in a.out\n"


def names(tree: Tree, victim: Path, spelt: str) -> None:
    """Every record of the copying step now says that it also made the victim, and so does the goal."""

    def change(recording: Recording, results: list[Result]) -> None:
        tables = recording.tables
        pid = tables.path(os.fsencode(spelt))
        vid = tables.value(b"F-" + len(victim.read_bytes()).to_bytes(8, "little") + bytes(16))
        for result in results:
            result.outs.extend((pid, 0, vid))
            result.modes.extend([KEPT | 0o644] if result.modes else [])
        for goal in recording.goals.values():
            recording.product(goal, pid, 0, vid, 1)  # type: ignore[arg-type]  # ABSENT
            goal.complete[pid] = (0, vid)  # type: ignore[assignment]  # ABSENT

    tree.doctor(change)


@pytest.mark.parametrize("way", ["plain", "link", "dots"])
def test_a_file_outside_that_a_record_calls_a_product_is_not_removed(tree: Tree, way: str) -> None:
    """By its own path, through a directory link inside the tree, or with dots."""
    victim = tree.outside / "victim"
    victim.write_text("precious\n")
    (tree.root / "link").symlink_to(tree.outside)
    spelt = {"plain": victim, "link": tree.root / "link/victim", "dots": f"{tree.root}/../outside/victim"}[way]
    tree.makefile(COPY)
    (tree.root / "a.in").write_text("1\n")
    tree.build()
    names(tree, victim, str(spelt))
    (tree.root / "a.in").write_text("2\n")
    tree.build()
    assert (tree.root / "a.out").read_text() == "2\n"
    assert victim.read_text() == "precious\n"
    assert tree.run("verify")[0] in (0, 1)
    assert victim.read_text() == "precious\n"


def test_what_a_step_no_longer_makes_is_still_removed_inside_the_tree(tree: Tree) -> None:
    """The check lets through what it is there to let through."""
    tree.makefile("all: a.out\na.out: a.in\n\t. ./a.in\n")
    (tree.root / "a.in").write_text("touch a.out extra\n")
    tree.build()
    (tree.root / "a.in").write_text("touch a.out\n")
    tree.build()
    assert not (tree.root / "extra").exists()


CHAIN = "all:\n\t{first}\n\tcp in mid\n\tcat mid >> f\n"
BOTH = pytest.mark.parametrize("below", [False, True], ids=["asked for", "in a skipped sub-make"])


@pytest.mark.parametrize("way", ["plain", "link", "dots"])
def test_a_file_outside_that_a_record_calls_a_product_is_not_restored(tree: Tree, way: str) -> None:
    """The content is in the store: it does not get to any other place than one below the tree."""
    victim = tree.outside / "victim"
    victim.write_text("precious\n")
    (tree.root / "link").symlink_to(tree.outside)
    spelt = str({"plain": victim, "link": tree.root / "link/victim", "dots": f"{tree.root}/../outside/victim"}[way])
    tree.makefile(COPY)
    (tree.root / "a.in").write_text("1\n")
    tree.build()

    def change(recording: Recording, results: list[Result]) -> None:
        for result in results:
            if result.modes:
                result.outs.extend((recording.tables.path(os.fsencode(spelt)), 0, result.outs[2]))
                result.modes.append(result.modes[0])

    tree.doctor(change)
    (tree.root / "a.out").unlink()
    tree.build()
    assert (tree.root / "a.out").read_text() == "1\n"
    assert victim.read_text() == "precious\n"


def test_a_product_is_restored_inside_the_tree(tree: Tree) -> None:
    """The check lets through what it is there to let through."""
    tree.makefile(COPY)
    (tree.root / "a.in").write_text("1\n")
    tree.build()
    (tree.root / "a.out").unlink()
    assert "1 were restored" in tree.build()
    assert (tree.root / "a.out").read_text() == "1\n"


def chain(tree: Tree, below: bool) -> None:
    """A step makes f, a later one appends what is known late to have changed: the first is judged current by then."""
    tree.makefile(CHAIN.format(first="$(MAKE) -C sub" if below else "echo one > f"))
    (tree.root / "sub").mkdir()
    (tree.root / "sub/Makefile").write_text("all:\n\techo one > ../f\n")
    (tree.root / "in").write_text("two\n")
    tree.build()
    (tree.root / "in").write_text("three\n")


@BOTH
def test_a_version_is_brought_back_by_what_make_asks_for(tree: Tree, below: bool) -> None:
    """Without an enemy: the result is that of a clean build, and what had to run again ran."""
    tree.environment["HASHMAKE_STORE"] = "off"
    chain(tree, below)
    assert tree.build().splitlines()[-1].startswith(f"hashmake: {4 if below else 3} steps ran")
    assert (tree.root / "f").read_text() == "one\nthree\n"
    assert "nothing changed" in tree.build()


@BOTH
def test_a_command_in_a_record_is_never_started(tree: Tree, below: bool) -> None:
    """Neither its words, nor its environment."""
    tree.environment["HASHMAKE_STORE"] = "off"
    chain(tree, below)
    trap = tree.outside / "trap"

    def change(recording: Recording, results: list[Result]) -> None:
        for result in results:
            if b"echo one" in result.argv[-1]:
                result.argv = [b"/bin/sh", b"sh", b"-c", b"touch %s; echo one > f" % os.fsencode(trap)]
        blocks = recording.env_blocks.all
        blocks[:] = [block and b"LD_PRELOAD=/nowhere/evil.so\0PATH=/nowhere\0" + block for block in blocks]
        recording.env_blocks.saved = 1

    tree.doctor(change)
    err = tree.build()
    assert "evil" not in err
    assert (tree.root / "f").read_text() == "one\nthree\n"
    assert not trap.exists()


def test_a_command_in_a_record_is_never_replayed(tree: Tree) -> None:
    """It is not what make was heard to ask for: make is started, and asks."""
    tree.environment["HASHMAKE_STORE"] = "off"
    tree.makefile(COPY)
    (tree.root / "a.in").write_text("1\n")
    tree.build()
    trap = tree.outside / "trap"

    def change(recording: Recording, results: list[Result]) -> None:
        for result in results:
            course = recording.course(result.id)
            if course is not None:
                evil = [b"/bin/sh", b"sh", b"-c", b"touch %s; cp a.in a.out" % os.fsencode(trap)]
                course.calls[:] = [call._replace(argv=evil) for call in course.calls]
                recording.learn_course(result.id, course)
            elif result.kind == b"R":
                result.argv = [b"/bin/sh", b"sh", b"-c", b"touch %s; cp a.in a.out" % os.fsencode(trap)]

    (tree.root / "a.in").write_text("2\n")
    tree.doctor(change)
    tree.build()
    assert (tree.root / "a.out").read_text() == "2\n"
    assert not trap.exists()


def test_without_an_enemy_the_same_is_replayed(tree: Tree) -> None:
    """The check lets through what it is there to let through."""
    tree.environment["HASHMAKE_STORE"] = "off"
    tree.makefile(COPY)
    (tree.root / "a.in").write_text("1\n")
    tree.build()
    (tree.root / "a.in").write_text("2\n")
    tree.build()
    assert '"mode": "replay"' in tree.run("log", "--json")[1]


@pytest.mark.parametrize("how", ["readable", "short", "link", "inside"])
def test_a_secret_that_others_could_know_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Then nothing is sealed, and make is always started."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    seal = sealer(("/elsewhere",))
    assert seal is not None
    again = sealer(("/elsewhere",))
    assert again is not None
    assert seal(b"text") == again(b"text") != seal(b"other")
    secret = tmp_path / "data/hashmake/secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    if how == "readable":
        secret.chmod(0o644)
    elif how == "short":
        secret.write_bytes(b"x")
    elif how == "link":
        secret.rename(tmp_path / "other")
        secret.symlink_to(tmp_path / "other")
    assert sealer((str(tmp_path),) if how == "inside" else ("/elsewhere",)) is None


def test_the_make_command_in_a_record_is_never_started(tree: Tree) -> None:
    """Hashmake verify asks the note of what was called here, not the recording."""
    tree.makefile(COPY)
    (tree.root / "a.in").write_text("1\n")
    tree.build()
    trap = tree.outside / "trap"

    def change(_recording: Recording, results: list[Result]) -> None:
        for result in results:
            if result.kind == b"T":
                result.argv = [b"/bin/sh", b"make", b"--eval=$(shell touch %s)" % os.fsencode(trap)]

    tree.doctor(change)
    assert tree.run("verify")[0] == 0
    assert not trap.exists()


@pytest.mark.parametrize("named", ["hashmake", "anything"])
def test_a_run_directory_named_in_a_record_is_only_removed_when_it_is_ours(tree: Tree, named: str) -> None:
    """The marker of a build that was killed names a directory that is removed with all that is in it."""
    tree.makefile(COPY)
    (tree.root / "a.in").write_text("1\n")
    tree.build()
    victim = tree.outside / ("hashmake-0-0123456789ab" if named == "hashmake" else "home")
    (victim / "t").mkdir(parents=True)
    (victim / "state").write_text(str(tree.state))
    state = StateDirectory(str(tree.state))
    db = Database(state.database)
    (key, _value), *_ = db.scan(b"g")
    db.put_all({b"O": key + os.fsencode(f"{victim}\0{boot_id()}")})
    db.close()
    state.seal()
    tree.build()
    assert (victim / "state").exists()


def test_a_hidden_file_outside_the_tree_keeps_its_content(tree: Tree) -> None:
    """A record may call any file a product of this goal, which hides it from the build; that is all."""
    victim = tree.outside / "victim"
    victim.write_text("precious\n")
    tree.makefile("all:\n\tcat ../outside/victim a.in > a.out || cp a.in a.out\n")
    (tree.root / "a.in").write_text("1\n")
    tree.build()
    names(tree, victim, str(victim))
    (tree.root / "a.in").write_text("2\n")
    tree.build()
    assert victim.read_text() == "precious\n"
