"""No room: in the tree, in the state directory, in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .moments import moments
from .mounts import mounted
from .workshop import ALL, Workshop, complaints

if TYPE_CHECKING:
    from pathlib import Path


def fill(disk: Path, leave: int) -> None:
    """Leave about this many bytes free."""
    with (disk / "ballast").open("wb") as file:
        state = os.statvfs(disk)
        size = state.f_bavail * state.f_frsize - leave
        while size > 0:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                break
            except OSError:
                size -= 4096  # the file system takes some for itself


def test_a_disk_that_is_full_fails_the_build_and_spoils_nothing(
    tmp_path: Path, shim: Path, marker: Path, python_path: str
) -> None:
    """Tree and state on one small disk with a random rest of room: with room again the next build is right."""
    with mounted("ext4", tmp_path / "small", 12) as disk:
        workshop = Workshop.create(disk, shim, marker, python_path)
        workshop.nap(0)
        workshop.check(workshop.project.attempt("-j3"), "with room")
        for story, random in moments("full tree", 6):
            workshop.edit_some(random, least=1)
            fill(disk, random.choice((0, 4096, 16384, 65536, 131072, 262144)))
            result = workshop.project.attempt("-j3")
            assert "Traceback" not in result.err, story + result.err
            assert "internal error" not in result.err, story + result.err
            (disk / "ballast").unlink()
            if result.status == 0 and "plain make" not in result.err:
                workshop.check_like_make(result)
            workshop.forget_marks()
            workshop.stale = set(ALL)
            workshop.check(workshop.project.attempt("-j3"), story)


NO_ROOM = "is the disk full?"
NO_SPACE = "No space left on device; make room and run the same command again"


def test_a_full_disk_below_the_state_does_not_fail_the_build(tmp_path: Path, workshop: Workshop) -> None:
    """The build goes on, unrecorded or as plain make, with one line; with room again the next build is right."""
    workshop.nap(0)
    with mounted("ext4", tmp_path / "small", 8) as disk:
        project = workshop.project
        project.environment["HASHMAKE_STATE_DIR"] = str(disk / "state")
        workshop.check(project.attempt("-j3"), "with room")
        for story, random in moments("full state", 6):
            workshop.edit_some(random, least=1)
            fill(disk, random.choice((0, 4096, 8192, 16384, 65536)))
            result = project.attempt("-j3")
            assert result.status == 0, story + result.err
            assert len(complaints(result.err)) <= 1, story + result.err
            if "plain make" not in result.err:
                workshop.check_like_make(result)
            (disk / "ballast").unlink()
            workshop.forget_marks()
            workshop.stale = set(ALL)
            workshop.check(project.attempt("-j3"), story)


@pytest.mark.parametrize("megabytes", [1, 9])
def test_without_room_in_memory_the_build_is_right_all_the_same(workshop: Workshop, megabytes: int) -> None:
    """Containers often have little of /dev/shm: the run directory goes elsewhere."""
    workshop.nap(0)
    little = f'mount -t tmpfs -o size={megabytes}m tmpfs /dev/shm && exec "$@"'
    workshop.project.prefix = ("unshare", "--mount", "sh", "-c", little, "sh")
    for source in ("names.txt", "lib/a.in"):
        workshop.edit(source, 1)
        result = workshop.project.attempt("-j3")
        assert result.status == 0, result.err
        assert len(complaints(result.err)) <= 1, result.err
        workshop.check_like_make(result)


@pytest.mark.parametrize("leave", [8192, 20480, 40960, 131072])
def test_what_a_first_build_on_a_full_disk_left_torn_is_made_again(
    tmp_path: Path, shim: Path, marker: Path, python_path: str, leave: int
) -> None:
    """There was no room to record anything: it ran as plain make, which leaves a mark of no size."""
    with mounted("ext4", tmp_path / "small", 12) as disk:
        project = Workshop.create(disk, shim, marker, python_path).project
        project.write("Makefile", "all: x y\nx: in\n\tcat in in > x\ny: x\n\tcp x y\n")
        project.write("in", "1\n" * 50000)
        fill(disk, leave)
        failed = project.attempt()
        assert failed.status == 2
        said = complaints(failed.err)
        assert len(said) <= 1
        assert all(NO_ROOM in line or NO_SPACE in line for line in said), said
        (disk / "ballast").unlink()
        project.check(project.attempt())
