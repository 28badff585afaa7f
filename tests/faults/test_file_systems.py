"""Where trees and state lie: coarse clocks, layers, memory, read-only sources, the network."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from e2e.project import MODES, Project
from e2e.running import wait_for

from .mounts import LOCAL, mounted, run
from .workshop import Workshop, our_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=LOCAL)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A local file system."""
    with mounted(request.param, tmp_path / request.param) as point:
        yield point


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Path]:
    """A network file system."""
    with mounted("sshfs", tmp_path / "sshfs") as point:
        yield point


def test_a_tree_on_any_local_file_system_is_built_right(disk: Path, shim: Path, marker: Path, python_path: str) -> None:
    """First build, edits, a kill, edits right behind the kill: as on any disk, nothing needless runs."""
    workshop = Workshop.create(disk, shim, marker, python_path)
    workshop.nap(30)
    coarse = (workshop.project.tree / "Makefile").stat().st_ctime_ns % 10**9 == 0
    pause = 1.1 if coarse else 0  # there an edit in the second of the build makes its readers run once more
    time.sleep(pause)
    workshop.check(workshop.project.attempt("-j3"), "first")
    for number, sources in enumerate((("names.txt",), ("lib/a.in", "app/main.c"), ("config.in", "common.txt"))):
        for source in sources:
            workshop.edit(source, 1)
        if number == 1:
            build = workshop.project.start("-j3")
            assert wait_for(lambda: bool(workshop.marks("begin")))
            build.running.kill_all()
            build.abandon()
            workshop.edit("lib/b.in", 1)
        time.sleep(pause)
        workshop.forget_marks()
        workshop.check(workshop.project.attempt("-j3"), str(sources))


def test_an_edit_in_the_second_of_the_last_look_is_seen_where_ctimes_are_trusted(
    disk: Path, shim: Path, marker: Path, python_path: str
) -> None:
    """The same size and inode, and on some of these file systems the same times: a ctime so young tells nothing."""
    workshop = Workshop.create(disk, shim, marker, python_path)
    project = workshop.project
    project.write("Makefile", "out: in\n\tcat in > out\n")
    project.write("in", "0\n")
    project.build("--trust-ctime")
    for number in range(1, 6):
        project.build("--trust-ctime")  # reads it, and may remember what stat says
        with (project.tree / "in").open("r+", encoding="ascii") as file:
            file.write(f"{number}\n")
        project.build("--trust-ctime")
        assert project.text("out") == f"{number}\n"


PHASES = 4
PHASED = """\
out: in
	begin 0; nap; cat in > out; begin 1; nap; cat in >> out; begin 2; nap; end 2
	begin 3; nap; cat out > $@.copy
"""


@pytest.mark.parametrize("phase", range(PHASES))
@pytest.mark.parametrize("back", [False, True])
def test_a_source_edited_while_its_step_runs_is_seen_as_changed(
    disk: Path, shim: Path, marker: Path, python_path: str, phase: int, back: bool
) -> None:
    """Before, between, and after the step reads it; edited once, or edited and taken back before the step ends."""
    workshop = Workshop.create(disk, shim, marker, python_path)
    project = workshop.project
    project.write("Makefile", PHASED)
    workshop.nap(120)
    for old, new in (("1\n", "2\n"), ("3\n", "4\n")):  # not known yet, and known
        project.write("in", old)
        workshop.forget_marks()
        build = project.start()
        assert wait_for(lambda: str(phase) in workshop.marks("begin"))
        project.write("in", new)
        if back:
            assert wait_for(lambda: str(min(phase + 1, 3)) in workshop.marks("begin"))
            project.write("in", old)
        assert build.finish().status == 0
        project.check(project.attempt())
        project.write("in", new)
        project.check(project.attempt())


def test_a_tree_whose_sources_are_read_only_is_built_elsewhere(
    tmp_path: Path, shim: Path, marker: Path, python_path: str
) -> None:
    """Products and state in O=: nothing is asked of the sources."""
    workshop = Workshop.create(tmp_path, shim, marker, python_path)
    project = workshop.project
    project.write("Makefile", "$(O)/out: in\n\tcp in $@; cat in >> $@\n")
    project.write("in", "1\n")
    run("mount", "--bind", project.tree, project.tree)
    try:
        run("mount", "-o", "remount,bind,ro", project.tree)
        out = tmp_path / "out"
        out.mkdir()
        first = project.attempt(f"O={out}")
        assert first.status == 0, first.err
        assert (out / "out").read_text() == "1\n1\n"
        again = project.attempt(f"O={out}")
        assert "nothing changed" in again.err
        assert (out / ".hashmake").is_dir()
    finally:
        run("umount", project.tree)


READ_ONLY = "{}: Read-only file system; give another place with --state-dir; going on as plain make"


def test_a_tree_that_is_read_only_as_a_whole_means_plain_make_and_one_line(project: Project) -> None:
    """The state has no place; with --state-dir it has, and the build is no different."""
    project.write("Makefile", "all:\n\t@cat in\n")
    project.write("in", "1\n")
    run("mount", "--bind", project.tree, project.tree)
    try:
        run("mount", "-o", "remount,bind,ro", project.tree)
        result = project.attempt()
        assert (result.status, result.out) == (0, "1\n")
        assert our_lines(result.err) == ["hashmake: " + READ_ONLY.format(project.tree / ".hashmake")]
        elsewhere = project.attempt(HASHMAKE_STATE_DIR=str(project.root / "state"))
        assert (elsewhere.status, elsewhere.out) == (0, "1\n")
        assert "plain make" not in elsewhere.err
    finally:
        run("umount", project.tree)


MOVED = "hashmake: {}: on a network file system (fuse.sshfs); state is kept in {}; use --state-dir for another place"
REFUSED = "{}: on a network file system (fuse.sshfs); give a local place with --state-dir; going on as plain make"


def remote_project(remote: Path, tmp_path: Path, shim: Path, python_path: str) -> Project:
    """The tree on the network, the tools and the home directory here."""
    project = Project.create(tmp_path, shim, MODES[0], python_path)
    project.tree.rmdir()
    (remote / "tree").mkdir()
    project.tree.symlink_to(remote / "tree")
    project.write("Makefile", "out: in\n\tcp in out; cat in >> out\n")
    project.write("in", "1\n")
    time.sleep(1.1)  # sftp knows whole seconds only
    return project


def state_of(project: Project) -> list[Path]:
    """State directories among the user's own state."""
    return list((project.root / "home/.local/state/hashmake").glob("*"))


def built_right(project: Project, text: str) -> None:
    assert project.text("out") == text
    assert sorted(os.listdir(project.tree)) == ["Makefile", "in", "out"]


def test_state_of_a_tree_on_a_network_file_system_is_moved_with_one_line(
    remote: Path, tmp_path: Path, shim: Path, python_path: str
) -> None:
    """To the user's own state directory; the verbs find it there."""
    project = remote_project(remote, tmp_path, shim, python_path)
    first = project.build()
    (state,) = state_of(project)
    assert our_lines(first.err)[0] == MOVED.format(os.path.realpath(project.tree), state)
    built_right(project, "1\n1\n")
    assert project.log()["steps"]["run"] == 1
    assert [line for line in our_lines(project.build().err) if "network" in line] == []
    assert project.log()["mode"] == "null"
    project.write("in", "2\n")
    time.sleep(1.1)
    assert project.build().count("cp") == 1
    built_right(project, "2\n2\n")


@pytest.mark.parametrize("how", ["state-dir", "home"])
def test_state_that_would_lie_on_a_network_file_system_is_refused_with_one_line(
    remote: Path, tmp_path: Path, shim: Path, python_path: str, how: str
) -> None:
    """Asked for by name, or because the home directory is there too: plain make, told where to go."""
    project = remote_project(remote, tmp_path, shim, python_path)
    name = {"state-dir": "HASHMAKE_STATE_DIR", "home": "XDG_STATE_HOME"}[how]
    project.environment[name] = f"{remote}/state"
    result = project.build()
    (said,) = our_lines(result.err)
    assert said.startswith(f"hashmake: {remote}/state")
    assert said.endswith(REFUSED.format("")), said
    built_right(project, "1\n1\n")


def test_the_types_that_count_as_network_file_systems() -> None:
    """What this machine can't mount: by the name that the kernel gives it."""
    from hashmake.state.place import _is_remote

    for kind in "nfs nfs4 cifs smb3 9p virtiofs ceph lustre afs fuse fuse.sshfs fuse.glusterfs fuse.grpcfuse".split():
        assert _is_remote(kind), kind
    for kind in "ext4 xfs btrfs zfs tmpfs overlay f2fs bcachefs ramfs fuseblk fuse.fuse-overlayfs fuse.bindfs".split():
        assert not _is_remote(kind), kind
