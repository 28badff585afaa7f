"""Scenarios 86 to 90, 92 and 94: steps that fail, builds that are cut short, disks that are full."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from . import tool
from .project import ANCIENT, Project
from .running import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .project import Mode

PROGRAM = """\
prog: main.o a.o
	cc -o $@ main.o a.o
%.o: %.c
	cc -c -o $@ $<
"""
SLOW = """\
all: first slow
first: in
	cp in first
slow: first in
	cat in > slow; sleep 0.5; cat in >> slow
"""


def program(project: Project) -> None:
    project.write("Makefile", PROGRAM)
    project.write("main.c", "int a(void);\nint main(void) { return a(); }\n")
    project.write("a.c", "int a(void) { return 1; }\n")


def test_86_after_a_repair_exactly_the_failed_part_runs(project: Project) -> None:
    """What had succeeded before the error is kept."""
    program(project)
    project.edit("main.c", "return", "retrun")
    project.edit("Makefile", "prog: main.o a.o", "prog: a.o main.o")
    assert project.attempt().status == 2
    project.edit("main.c", "retrun", "return")
    project.check(project.rebuild(), runs=2)


def test_86_an_error_that_an_edit_brings_in_fails_the_build(project: Project) -> None:
    """The good result of before does not stand in for it; repaired, all is as at first."""
    program(project)
    project.build()
    project.edit("a.c", "return", "retrun")
    project.check(project.rebuild(), extra=("prog", "main.o"))
    project.edit("a.c", "retrun", "return")
    project.check(project.rebuild(), runs=2)


def test_87_the_half_product_of_a_failed_step_is_made_again(project: Project) -> None:
    """Without .DELETE_ON_ERROR it stays on disk, newer than the repaired source."""
    project.write("Makefile", "out: in\n\tcat in > out; grep -q good in\n")
    project.write("in", "bad\n")
    assert project.attempt().status == 2
    project.write("in", "good\n")
    project.touch("in", date=ANCIENT)
    project.check(project.rebuild(), runs=2)


REMOVING = """\
all: out other
out: in
	cp in out
	grep -q good gate || { rm -f out; false; }
other: in
	cp in other
"""


def test_87_a_product_that_a_failing_later_line_removed_is_made_again(project: Project) -> None:
    """As Kbuild's recipes do: the first line's product is gone, so the first line runs again, also time after time."""
    project.write("Makefile", REMOVING)
    project.write("in", "1\n")
    project.write("gate", "good\n")
    project.build("-k")
    for _ in range(2):
        project.write("gate", "bad\n")
        for _ in range(2):
            failed = project.rebuild("-k")
            assert failed.status == 2
            assert failed.count("grep") == 1
            project.check(failed)
        project.write("gate", "good\n")
        project.check(project.rebuild("-k"), runs=2)


def test_88_a_failure_that_nothing_repaired_is_a_failure_again(project: Project) -> None:
    """Same status, same message: a failure is never recorded as a success."""
    program(project)
    project.edit("a.c", "return", "retrun")
    first = project.attempt("-j1")
    second = project.rebuild("-j1")
    assert second.count("cc") >= 1
    assert first.status == second.status == 2
    assert "retrun" in second.err
    assert [line for line in second.err.splitlines() if "***" in line] == [
        line for line in first.err.splitlines() if "***" in line
    ]


def test_89_keep_going_keeps_what_the_other_branches_made(project: Project) -> None:
    """-k: after the repair only the failed branch runs."""
    project.write("Makefile", "all: x y z\nx: in.x\n\tcp in.x x\ny: in.y\n\tgrep good in.y > y\nz: in.z\n\tcp in.z z\n")
    for name in ("in.x", "in.y", "in.z"):
        project.write(name, "bad\n")
    failed = project.attempt("-k")
    assert failed.status == 2
    assert project.has("x")
    assert project.has("z")
    project.write("in.y", "good\n")
    project.check(project.rebuild("-k"), runs=1)


def slow(project: Project) -> None:
    project.write("Makefile", SLOW)
    project.write("in", "1\n")


def test_90_after_a_kill_of_make_in_the_middle_of_a_step_the_next_build_is_right(project: Project) -> None:
    """kill -9 of make and of the step: the torn product is not taken for a finished one."""
    slow(project)
    build = project.start("-j1")
    assert wait_for(lambda: project.has("slow") and project.text("slow") == "1\n")
    build.running.kill_below()
    assert build.abandon().status != 0
    assert project.text("slow") == "1\n" or not project.has("slow")
    project.check(project.rebuild("-j1"), runs=2)


@pytest.mark.parametrize("times", [1, 2])
def test_92_an_interrupt_removes_the_partial_product_and_keeps_the_finished_ones(project: Project, times: int) -> None:
    """Ctrl-C, once or twice: status 130; afterwards only what was not finished runs."""
    slow(project)
    build = project.start("-j1")
    assert wait_for(lambda: project.has("slow") and project.text("slow") == "1\n")
    for _ in range(times):
        build.running.interrupt()
        time.sleep(0.02)
    result = build.abandon()
    assert result.status == (-signal.SIGINT if tool.is_stock_make() else 130)
    assert not project.has("slow")
    assert project.text("first") == "1\n"
    again = project.rebuild("-j1")
    assert again.count("cp") == 0
    project.check(again, runs=2)


@pytest.fixture
def small_disk(tmp_path: Path, shim: Path, mode: Mode, python_path: str) -> Iterator[Project]:
    """A project on a file system of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        yield Project.create(disk, shim, mode, python_path)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path, leave: int) -> None:
    """Leave this many bytes free."""
    with (disk / "ballast").open("wb") as file:
        state = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - leave))


@pytest.mark.parametrize("free", [0, 4096, 16384, 65536])
def test_94_a_full_disk_fails_the_build_and_spoils_nothing(small_disk: Project, free: int) -> None:
    """The system's reason is seen; with room again the next build is right."""
    project = small_disk
    project.write("Makefile", "all: x y\nx: in\n\tcat in in in in > x\ny: x\n\tcp x y\n")
    project.write("in", "1\n" * 10000)
    project.build()
    project.write("in", "2\n" * 50000)
    fill(project.root, free)
    failed = project.attempt()
    assert failed.status != 0
    assert "space" in failed.err
    (project.root / "ballast").unlink()
    project.check(project.rebuild(), runs=2)
