"""The clean view: hidden files do not exist until this build makes them, times in make are logical."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from . import harness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    "what", ["read", "change", "stat", "access", "unlink", "rename", "exec", "list", "chdir", "rmdir"]
)
def test_a_hidden_path_is_absent(
    what: str, program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """Whatever is asked of it, it is not there; and it stays where it is."""
    path = work / "product"
    if what in ("list", "chdir", "rmdir"):
        path.mkdir()
    else:
        path.write_text("old")
        path.chmod(0o755)
    run.make_view({path: harness.HIDDEN}, harness.HIDE)
    assert run.run(program("tool"), what, "product", cwd=work).split() == ["ENOENT"]
    assert run.trace().kinds(path) == "n"
    assert path.exists()
    assert run.state(path) == harness.HIDDEN


@pytest.mark.parametrize("what", ["create", "append", "replace", "symlink", "mkdir"])
def test_making_a_hidden_path_begins_afresh(
    what: str, program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """The old file is really gone, the new one is visible."""
    path = work / "product"
    path.write_text("old")
    os.link(path, work / "witness")
    (work / "other").write_text("other")
    run.make_view({path: harness.HIDDEN}, harness.HIDE)
    out = run.run(program("tool"), "stat", "product", what, "product", "access", "product", cwd=work).split()
    assert out == ["ENOENT", "ok", "ENOENT" if what == "symlink" else "ok"]
    assert (work / "witness").read_text() == "old"
    assert "w" in run.trace().kinds(path)
    assert "r" not in run.trace().kinds(path)
    assert run.state(path) == harness.LIVE
    if what == "append":
        assert path.read_text() == ""


def test_a_hidden_directory_appears_with_mkdir(
    program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """It is there, with the hidden products of other steps in it; nothing can be made in it before."""
    (work / "made").mkdir()
    (work / "made" / "old").write_text("x")
    run.make_view({work / "made": harness.HIDDEN, work / "made" / "old": harness.HIDDEN}, harness.HIDE)
    words = "create made/new mkdir made create made/new list made mkdir made".split()
    out = run.run(program("tool"), *words, cwd=work).splitlines()
    assert out == ["ENOENT", "ok", "ok", "new ok", "EEXIST"]
    assert (work / "made" / "old").exists()


def test_an_ahead_file_is_fetched_before_it_is_read(
    program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """Reading and changing ask the supervisor; replacing does not."""
    names = ("read", "change", "append", "stat", "create", "unlink", "untouched")
    for name in names:
        run.wanted[str(work / name)] = b"wanted"
    run.make_view({work / name: 50 << 3 | harness.AHEAD for name in names}, harness.HIDE)
    words = [word for name in names[:-1] for word in (name, name)]
    assert run.run(program("tool"), *words, cwd=work).split() == ["ok"] * 6
    wanted = [os.fsdecode(payload[4:]) for kind, payload in run.asked if kind == "W"]
    assert wanted == [str(work / name) for name in ("read", "change", "append", "stat")]
    assert (work / "append").read_text() == "wanted"
    assert (work / "create").read_text() == ""
    assert [run.state(work / name) for name in ("create", "unlink", "read")] == [
        harness.LIVE, harness.LIVE, harness.AHEAD,
    ]  # fmt: skip


def test_make_sees_logical_times(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Products at their moment, live ones after all; below them unknown files by real time, then foreign ones."""
    make = program("maker", to="make")
    for name in ("present", "live", "source", "foreign", "older", "newer", "future"):
        (work / name).write_text("x")
    os.symlink("present", work / "link")
    os.utime(work / "older", ns=(0, 1_600_000_000_000_000_000))
    os.utime(work / "newer", ns=(0, 1_600_000_000_000_000_008))
    os.utime(work / "future", (0, 40_000_000_000))
    states = {"present": 7 << 3 | harness.PRESENT, "ahead": 8 << 3 | harness.AHEAD, "hidden": harness.HIDDEN,
              "live": 3 << 3 | harness.LIVE, "source": 5 << 3 | harness.SOURCE,
              "foreign": 9 << 3 | harness.FOREIGN}  # fmt: skip
    run.make_view({work / name: value for name, value in states.items()}, harness.HIDE | harness.TIME, seq=100)
    names = ["present", "ahead", "hidden", "live", "source", "older", "newer", "future", "link", "foreign"]
    out = run.run(make, *names, cwd=work).split()
    base = harness.TIME_BASE
    assert out == [
        f"{base + 7}.000000000", f"{base + 8}.000000000", "absent", f"{base + 101}.000000000", f"{base + 5}.000000000",
        "800000000.000000000", "800000000.000000001", f"{base - 1}.999999999", f"{base + 7}.000000000",
        "9.000000000",
    ]  # fmt: skip
    kinds = {name: run.trace().kinds(work / name) for name in names}
    assert kinds["hidden"] == "n"
    assert all(kinds[name] == "k" for name in names if name != "hidden")
    assert run.trace().texts("P") == [str(make)]
    assert [text[:8] for kind, text in run.asked if kind == "M"] == [b"\1" + bytes(7)]


def test_other_programs_see_real_times(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Only make decides by times."""
    (work / "present").write_text("x")
    os.utime(work / "present", (0, 1000))
    run.make_view({work / "present": 7 << 3 | harness.PRESENT}, harness.HIDE | harness.TIME)
    assert run.run(program("maker"), "present", cwd=work).split() == ["1000.000000000"]


def test_a_hidden_link_leads_nowhere(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """A directory link that this build has not made yet."""
    (work / "real").mkdir()
    (work / "real" / "file").write_text("x")
    os.symlink("real", work / "link")
    run.make_view({work / "link": harness.HIDDEN}, harness.HIDE)
    words = "read link/file create link/new list link read real/file symlink link".split()
    assert run.run(program("tool"), *words, cwd=work).splitlines() == ["ENOENT", "ENOENT", "ENOENT", "ok", "ok"]
    assert run.trace().kinds(work / "link" / "file") == "n"


def test_who_reads_a_table_is_told_before_the_read(run: harness.RunDirectory, work: Path) -> None:
    """With its arguments; of other files it is not told, and words beyond the limit show as a last empty one."""
    for name in ("table", "other"):
        (work / name).write_text("A=1\n")
    run.make_view({}, tables=(work / "table",))
    run.run("grep", "-q", "^A=", "table", "other", cwd=work)
    (told,) = run.trace().texts("B")
    program = os.path.realpath("/usr/bin/grep")
    assert told.split("\1") == [str(work / "table"), program, "grep", "-q", "^A=", "table", "other"]
    kinds = [record.kind for record in run.trace().records if str(work / "table") in record.text]
    assert kinds.index("B") < kinds.index("r")
    run.make_trace(1)
    run.run("grep", "-q", "-e", "^A=", "-e", "x" * 5000, "table", cwd=work)
    (told,) = run.trace().texts("B")
    assert told.split("\1")[-1] == ""


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_step_that_compares_times_sees_its_own_work_in_its_order(
    shell: str, run: harness.RunDirectory, work: Path
) -> None:
    """Dates mean nothing: what was touched last is newest, what has an entry is older, what has none is oldest."""
    script = """\
is() { [ $1 -nt $2 ] && echo $1; }
: > new
touch -d '1 hour ago' stamp
is stamp new; is new stamp; is stamp product; is product unknown; is unknown product
touch -d '2 hours ago' new
is new stamp; is stamp new; :
"""
    for name in ("product", "unknown"):
        (work / name).touch()
        os.utime(work / name, (2_000_000_000, 2_000_000_000))
    run.make_view({work / "product": 50 << 3 | harness.PRESENT}, harness.HIDE | harness.TIME)
    assert run.run(shell, "-c", script, cwd=work).split() == ["new", "stamp"]
    (work / "new").unlink()
    (work / "stamp").unlink()
    run.make_trace(1, flags=harness.TIMES)
    assert run.run(shell, "-c", script, cwd=work).split() == ["stamp", "stamp", "product", "new"]


def test_hidden_entries_do_not_keep_a_directory(run: harness.RunDirectory, work: Path) -> None:
    """rmdir and what takes its place succeed, as where nothing is; a visible entry keeps it, and all that is in it."""
    for name in ("gone", "taken", "kept"):
        (work / name / "sub").mkdir(parents=True)
        (work / name / "file").write_text("old\n")
        (work / name / "sub" / "file").write_text("old\n")
    hidden = [work / name / path for name in ("gone", "taken", "kept") for path in ("sub", "file", "sub/file")]
    run.make_view(dict.fromkeys([work / "taken", *hidden], harness.HIDDEN), harness.HIDE)
    (work / "kept" / "sub" / "mine").write_text("mine\n")
    script = "rmdir gone && ln -s x taken && ! rmdir kept 2>/dev/null && readlink taken"
    assert run.run("sh", "-c", script, cwd=work) == "x\n"
    assert sorted(path.name for path in work.iterdir()) == ["kept", "taken"]
    assert sorted(str(path.relative_to(work / "kept")) for path in (work / "kept").rglob("*")) == [
        "file",
        "sub",
        "sub/file",
        "sub/mine",
    ]


def test_hidden_entries_do_not_move_with_a_directory(run: harness.RunDirectory, work: Path) -> None:
    """What moves is what was there; at its new place it is visible, whatever was hidden there."""
    (work / "old").mkdir()
    for name in ("made", "not-yet"):
        (work / "old" / name).write_text(f"{name}\n")
    (work / "new").mkdir()
    (work / "new" / "made").write_text("of the last build\n")
    hidden = [work / path for path in ("old/not-yet", "new", "new/made", "new/not-yet")]
    run.make_view(dict.fromkeys(hidden, harness.HIDDEN), harness.HIDE)
    assert run.run("sh", "-c", "mv old new && cat new/* && ls new", cwd=work) == "made\nmade\n"
    assert sorted(path.name for path in (work / "new").iterdir()) == ["made"]
