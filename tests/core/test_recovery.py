"""Run directories beside each other: only those whose tree is gone are removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from fakes import version_of

from hashmake.model.letters import ABSENT, BEGUN, MOVEDIR_TO, READ, REMOVE, WRITE
from hashmake.model.result import RECIPE, Result
from hashmake.model.tables import NO_VALUE, PathId
from hashmake.run import directory, strays, trace
from hashmake.run.view import View
from hashmake.state import recovery
from hashmake.state.archive import Archive
from hashmake.state.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hashmake.model.recording import Recording


def run_directory(base: Path, name: str, tree: str, *files: str) -> Path:
    """One that a build has made, or is just making."""
    folder = base / f"hashmake-{os.geteuid()}-{name}"
    (folder / "t").mkdir(parents=True)
    (folder / "state").write_text(tree)
    (folder / "mounts").write_text(os.readlink("/proc/self/ns/mnt"))
    for file in files:
        (folder / file).touch()
    return folder


def age(folder: Path) -> None:
    """It has not been touched since."""
    for path in (folder, folder / "t"):
        os.utime(path, (0, 0))


def test_a_run_directory_that_is_just_being_made_is_left_alone(tmp_path: Path) -> None:
    """Its file `state` is there before its text is; the one of a tree that is gone goes."""
    gone = str(tmp_path / "gone")
    run_directory(tmp_path, "making", "")
    run_directory(tmp_path, "living", str(tmp_path))
    run_directory(tmp_path, "dead", gone, "view")
    begun = run_directory(tmp_path, "begun", gone)
    # A build in another container, whose tree can't be seen from here.
    view = View(os.fsencode(run_directory(tmp_path, "elsewhere", gone) / "view"), 0, 0, 0)
    assert left(tmp_path) == ["begun", "elsewhere", "living", "making"]
    view.close()
    assert left(tmp_path) == ["begun", "living", "making"]
    age(begun)
    assert left(tmp_path) == ["living", "making"]


@pytest.mark.parametrize("mounts", ["mnt:[1]", None])
def test_a_dead_build_that_saw_other_mounts_is_left_to_the_next_one_of_its_tree(
    tmp_path: Path, mounts: str | None
) -> None:
    """The tree may be there, unseen from here, and a build that recovers at work; after an hour nobody is."""
    dead = run_directory(tmp_path, "dead", str(tmp_path / "gone"), "view")
    (dead / "mounts").unlink()
    if mounts:
        (dead / "mounts").write_text(mounts)
    assert left(tmp_path) == ["dead"]
    age(dead)
    assert left(tmp_path) == []


def test_the_removal_that_another_began_is_ended(tmp_path: Path) -> None:
    run_directory(tmp_path, "dead.gone", str(tmp_path))
    assert left(tmp_path) == []


def test_a_directory_that_is_removed_has_no_name_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads it just then never finds a part of it."""
    folder = run_directory(tmp_path, "dead", str(tmp_path))
    names: list[str] = []
    monkeypatch.setattr(directory, "remove_tree", lambda _path: names.extend(path.name for path in tmp_path.iterdir()))
    directory.remove(str(folder))
    assert names == [folder.name + ".gone"]


def left(base: Path) -> list[str]:
    """What a sweep leaves."""
    directory.sweep(str(base))
    return sorted(path.name.rpartition("-")[2] for path in base.iterdir())


def test_a_run_directory_is_forgotten_before_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a kill between the two would look like a crash of the machine, and everything would run."""
    (tmp_path / "db").mkdir()
    db = Database(str(tmp_path / "db"))
    archive = Archive(db)
    run_directory = directory.make(str(tmp_path))
    recovery.begin(db, run_directory, directory.boot_id(), bytes(16))
    removed = []

    def look(path: str) -> None:
        removed.append((path, db.get(b"O")))
        remove(path)

    remove = directory.remove
    monkeypatch.setattr(directory, "remove", look)
    assert not recovery.recover(db, archive, archive.load(), directory, ())
    assert [(path, bool(marker)) for path, marker in removed] == [(run_directory, False)]
    db.close()


# -- what a killed build wrote --------------------------------------------------------------------------------------

GOAL = b"goal".ljust(16)


class Killed:
    """A build that was killed, and the next one: the recording, the tree, and what the run directory tells."""

    def __init__(self, folder: Path) -> None:
        (folder / "db").mkdir()
        (folder / "tree").mkdir()
        self.tree = folder / "tree"
        self.db = Database(str(folder / "db"))
        self.archive = Archive(self.db)
        self.recording = self.archive.load()
        self.goal = self.recording.goal(GOAL)
        self.left: list[dict[bytes, bool]] | None = []
        self.asked: list[tuple[str, str, str]] = []
        self.removed: list[str] = []
        recovery.begin(self.db, "/run/of/the/dead", "boot", GOAL)

    def path(self, name: str) -> bytes:
        return os.fsencode(self.tree / name)

    def pid(self, name: str) -> PathId:
        return self.recording.tables.path(self.path(name))

    def write(self, name: str) -> None:
        (self.tree / name).write_text("torn")

    def wrote(self, **paths: bool) -> None:
        """One of its steps wrote these; whether nothing was there before."""
        assert self.left is not None
        self.left.append({self.path(name): made for name, made in paths.items()})

    def remains(self, run_dir: str, state_path: str, boot: str) -> list[dict[bytes, bool]] | None:
        """As of run/directory.py."""
        self.asked.append((run_dir, state_path, boot))
        return self.left

    def remove(self, path: str) -> None:
        """As of run/directory.py."""
        self.removed.append(path)

    def recover(self) -> bool:
        """The next build begins; whether nothing can be believed."""
        return recovery.recover(self.db, self.archive, self.recording, self, (os.fsencode(self.tree),))

    def products(self) -> set[str]:
        """Of the goal, as the database has them."""
        recording: Recording = Archive(self.db).load()
        paths = recording.tables.paths
        return {os.fsdecode(paths[pid]).rpartition("/")[2] for pid in recording.goal(GOAL).products}


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    world = Killed(tmp_path)
    yield world
    world.db.close()


def test_after_a_build_that_ended_there_is_nothing_to_recover(killed: Killed) -> None:
    killed.db.put_all({b"O": b""})
    assert not killed.recover()
    assert not killed.asked


def test_it_asks_for_the_run_directory_and_the_boot_that_were_noted(killed: Killed) -> None:
    killed.recover()
    assert killed.asked == [("/run/of/the/dead", str(killed.tree.parent), "boot")]
    assert killed.removed == ["/run/of/the/dead"]


def test_it_recovers_once(killed: Killed) -> None:
    killed.wrote(a=True)
    killed.recover()
    assert not killed.recover()
    assert len(killed.asked) == 1


def test_a_run_directory_that_is_gone_means_that_nothing_is_to_be_believed(killed: Killed) -> None:
    """And it stays so until a build has begun that knows: the marker is that build's affair."""
    killed.left = None
    assert killed.recover()
    assert killed.recover()


def test_what_a_step_made_of_nothing_before_it_was_killed_is_removed_and_is_a_product(killed: Killed) -> None:
    killed.write("a.o")
    killed.wrote(**{"a.o": True})
    assert not killed.recover()
    assert not (killed.tree / "a.o").exists()
    assert killed.products() == {"a.o"}


def test_what_a_step_wrote_over_is_a_product_and_stays(killed: Killed) -> None:
    killed.write("a.o")
    killed.wrote(**{"a.o": False})
    killed.recover()
    assert (killed.tree / "a.o").exists()
    assert killed.products() == {"a.o"}


def test_a_product_that_is_known_stays_for_its_step_to_judge(killed: Killed) -> None:
    """Its step was recorded before the kill: what lies there may be whole."""
    version = killed.recording.tables.value(version_of("torn"))
    killed.recording.product(killed.goal, killed.pid("a.o"), NO_VALUE, version, 3)
    killed.write("a.o")
    killed.wrote(**{"a.o": True})
    killed.recover()
    assert (killed.tree / "a.o").exists()
    assert killed.recording.products[killed.pid("a.o")] == (version, 3)


def test_a_product_of_another_goal_becomes_one_of_this_goal_too(killed: Killed) -> None:
    version = killed.recording.tables.value(version_of("torn"))
    killed.recording.product(killed.recording.goal(b"other".ljust(16)), killed.pid("a.o"), NO_VALUE, version, 3)
    killed.write("a.o")
    killed.wrote(**{"a.o": True})
    killed.recover()
    assert (killed.tree / "a.o").exists()
    assert killed.products() == {"a.o"}


def test_a_source_that_a_step_changed_stays_a_source(killed: Killed) -> None:
    killed.recording.sources[killed.pid("text")] = (killed.recording.tables.value(version_of("old")), 1)
    killed.write("text")
    killed.wrote(text=True)
    killed.recover()
    assert (killed.tree / "text").exists()
    assert killed.products() == set()


def test_a_temporary_of_the_last_complete_build_is_no_source_that_took_its_place(killed: Killed) -> None:
    root = Result(b"root".ljust(16), RECIPE, killed.pid("."), [b"make"])
    root.outs.extend((killed.pid("prog"), NO_VALUE, killed.recording.tables.value(version_of("1"))))
    killed.goal.set_root(b"inputs", root)
    killed.wrote(**{"ar.tmp": True})
    killed.recover()
    assert killed.goal.complete[killed.pid("ar.tmp")] == (NO_VALUE, NO_VALUE)


def test_what_lies_outside_of_the_tree_is_not_removed(killed: Killed) -> None:
    (killed.tree.parent / "outside").write_text("")
    killed.left = [{os.fsencode(killed.tree.parent / "outside"): True}]
    killed.recover()
    assert (killed.tree.parent / "outside").exists()


def test_steps_of_which_nothing_is_left_tell_nothing(killed: Killed) -> None:
    killed.left = [{}, {}]
    assert not killed.recover()
    assert killed.products() == set()


# -- what a run directory tells -------------------------------------------------------------------------------------


class Dead:
    """A run directory of a dead build, below its state."""

    def __init__(self, folder: Path) -> None:
        self.state = str(folder)
        self.run = folder / f"hashmake-{os.geteuid()}-0123456789ab"
        (self.run / "t").mkdir(parents=True)
        (self.run / "state").write_text(self.state)

    def step(self, number: int, *records: bytes, hole: int = 0) -> None:
        """The trace of a step that was killed; `hole`: bytes that were claimed and not written, before the last."""
        *first, last = records
        body = b"".join(r + b"\0" for r in first) + bytes(hole) + last + b"\0"
        head = trace.HEADER.pack(trace.MAGIC, trace.VERSION, trace.HEADER.size + len(body), 65536, 0, 1, 1)
        (self.run / "t" / str(number)).write_bytes(head + body)

    def remains(self, boot: str = "") -> list[dict[bytes, bool]] | None:
        """What is left of it."""
        return directory.remains(str(self.run), self.state, boot or directory.boot_id())


@pytest.fixture
def dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dead:
    monkeypatch.setattr(strays, "end", lambda _run_dir: None)  # nobody is alive here, and to be sure takes 30 ms
    return Dead(tmp_path)


def test_a_step_that_was_killed_tells_what_it_wrote(dead: Dead) -> None:
    dead.step(1, READ + b"/w/a", WRITE + b"/w/b", ABSENT + b"/w/c", WRITE + b"/w/c")
    assert dead.remains() == [{b"/w/b": False, b"/w/c": True}]


def test_what_was_missed_only_after_it_was_written_was_there_before(dead: Dead) -> None:
    dead.step(1, WRITE + b"/w/a", REMOVE + b"/w/a", ABSENT + b"/w/a", WRITE + b"/w/a")
    assert dead.remains() == [{b"/w/a": False}]


def test_what_a_build_restored_is_told_like_what_a_step_wrote(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    journal = trace.Journal(os.fsencode(tmp_path))
    journal.note([(b"/w/new", True), (b"/w/old", False)])
    journal.note([(b"/w/later", True)])
    found = trace.TraceFile(os.fsencode(tmp_path / "t/restored")).remains()
    assert found == [b"n/w/new", b"w/w/new", b"w/w/old", b"n/w/later", b"w/w/later"]
    journal.close()


def test_a_call_that_never_ended_may_have_written(dead: Dead) -> None:
    dead.step(1, ABSENT + b"/w/a", BEGUN + b"/w/a")
    assert dead.remains() == [{b"/w/a": True}]


def test_a_directory_that_came_to_a_name_was_written_there(dead: Dead) -> None:
    dead.step(1, MOVEDIR_TO + b"/w/d")
    assert dead.remains() == [{b"/w/d": False}]


def test_what_comes_after_a_hole_is_told_as_well(dead: Dead) -> None:
    dead.step(1, WRITE + b"/w/a", WRITE + b"/w/b", hole=20)
    assert dead.remains() == [{b"/w/a": False, b"/w/b": False}]


def test_all_steps_that_were_at_work_tell(dead: Dead) -> None:
    dead.step(1, WRITE + b"/w/a")
    dead.step(2, WRITE + b"/w/b")
    assert sorted(map(list, dead.remains() or [])) == [[b"/w/a"], [b"/w/b"]]


def test_a_trace_that_was_just_being_made_tells_nothing(dead: Dead) -> None:
    (dead.run / "t" / "1").write_bytes(b"")
    (dead.run / "t" / "2").write_bytes(bytes(4096))
    assert dead.remains() == [{}, {}]


def test_after_the_machine_went_down_nothing_is_known_and_the_directory_goes(dead: Dead) -> None:
    dead.step(1, WRITE + b"/w/a")
    assert dead.remains("another boot") is None
    assert not dead.run.exists()


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_run_directory_that_is_swept_away_while_it_is_read_tells_nothing_for_certain(
    dead: Dead, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """By a build in another container: before the traces are listed, between two of them, after the last."""
    dead.step(1, WRITE + b"/w/a")
    dead.step(2, WRITE + b"/w/b")
    read = trace.TraceFile.remains
    calls = [0]

    def look(file: trace.TraceFile) -> list[bytes]:
        calls[0] += 1
        told = read(file)
        if calls[0] == after:
            directory.remove(str(dead.run))
        return told

    monkeypatch.setattr(trace.TraceFile, "remains", look)
    if not after:
        monkeypatch.setattr(strays, "end", directory.remove)
    assert dead.remains() is None


def test_a_run_directory_without_its_traces_tells_nothing_for_certain(dead: Dead) -> None:
    (dead.run / "t").rmdir()
    assert dead.remains() is None


@pytest.mark.parametrize("name", ["tree", "hashmake-0-short", "hashmake-x-0123456789ab"])
def test_what_is_no_run_directory_is_left_alone(dead: Dead, name: str) -> None:
    """A marker in the database that somebody wrote must not have anything removed."""
    other = dead.run.rename(dead.run.parent / name)
    assert directory.remains(str(other), dead.state, "another boot") is None
    assert other.exists()


def test_nor_is_another_states_taken_for_this_ones(dead: Dead) -> None:
    (dead.run / "state").write_text("/somewhere/else")
    assert dead.remains("another boot") is None
    assert dead.run.exists()
