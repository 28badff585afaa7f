"""Scenarios 1 to 15: plain edits of sources, and times that lie."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from .project import ANCIENT, Project
from .running import wait_for

pytestmark = pytest.mark.all_modes

PROGRAM = """\
prog: main.o a.o
	cc -o $@ main.o a.o
%.o: %.c
	cc -c -o $@ $<
"""
PIPELINE = """\
out: sorted
	cp sorted out
sorted: squeezed
	sort squeezed > sorted
squeezed: in
	tr -s ' ' < in > squeezed
"""


def program(project: Project) -> None:
    project.write("Makefile", PROGRAM)
    project.write("main.c", "int a(void);\nint main(void) { return a(); }\n")
    project.write("a.c", "int a(void) { return 1; }\n")


def test_01_a_build_without_an_edit_runs_nothing(project: Project) -> None:
    """Nothing changed: no tool runs and no file is written."""
    program(project)
    project.build()
    project.check(project.rebuild(), runs=0)


def test_02_a_source_edit_runs_its_compile_and_the_link(project: Project) -> None:
    """An edited source brings its own object and the program up to date."""
    program(project)
    project.build()
    project.edit("a.c", "1", "2")
    project.check(project.rebuild(), runs=2)


def test_03_touched_sources_run_nothing(project: Project) -> None:
    """A newer time on equal bytes is no change."""
    program(project)
    project.build()
    project.touch("main.c", "a.c", "Makefile", date=time.time() + 5)
    project.check(project.rebuild(), runs=0)


def test_04_a_comment_edit_stops_at_the_equal_object(project: Project) -> None:
    """The compile runs; the object comes out equal, so the link does not run."""
    program(project)
    project.build()
    project.edit("a.c", "}\n", "} /* said */\n")
    project.check(project.rebuild(), runs=1)


def test_05_a_pipeline_stops_at_the_first_equal_intermediate(project: Project) -> None:
    """Whitespace that the first step squeezes away runs that step only."""
    project.write("Makefile", PIPELINE)
    project.write("in", "b b\na a\n")
    project.build()
    project.write("in", "b    b\na a\n")
    project.check(project.rebuild(), runs=1)


def test_06_a_reverted_edit_gives_the_first_result_again(project: Project) -> None:
    """Edit, build, revert, build: as the first build; the steps may run again without a store."""
    program(project)
    project.build()
    project.edit("a.c", "1", "2")
    project.build()
    project.edit("a.c", "2", "1")
    project.check(project.rebuild(), runs=2)


def test_07_an_edit_that_keeps_size_and_time_is_seen(project: Project) -> None:
    """Same size, same mtime (touch -r): rebuilt all the same."""
    program(project)
    project.build()
    date = os.stat(project.tree / "a.c").st_mtime
    project.edit("a.c", "1", "2")
    project.touch("a.c", date=date)
    project.check(project.rebuild(), runs=2)


def test_08_an_edit_in_the_clock_tick_of_the_build_is_seen(project: Project) -> None:
    """A source as old as its object, to the nanosecond, is rebuilt when its bytes changed."""
    program(project)
    project.build()
    tick = os.stat(project.tree / "a.o").st_mtime_ns
    project.edit("a.c", "1", "2")
    os.utime(project.tree / "a.c", ns=(tick, tick))
    project.check(project.rebuild(), runs=2)


def test_09_newer_content_with_an_older_time_is_seen(project: Project) -> None:
    """cp -p, tar and old checkouts bring new bytes with old times."""
    program(project)
    project.build()
    project.edit("a.c", "1", "2")
    project.touch("a.c", date=ANCIENT - 1000)
    project.check(project.rebuild(), runs=2)


def test_10_an_edit_after_the_clock_went_back_is_seen(project: Project) -> None:
    """The first build happened an hour in the future."""
    program(project)
    project.touch("main.c", "a.c", "Makefile", date=time.time() + 3000)
    project.build()
    project.touch(date=time.time() + 3600)
    project.edit("a.c", "1", "2")
    project.check(project.rebuild(), runs=2)


def test_11_a_time_in_the_future_is_no_endless_rebuild(project: Project) -> None:
    """A source dated tomorrow: built once, without a warning each time."""
    program(project)
    project.touch("a.c", date=time.time() + 86400)
    project.build()
    again = project.rebuild()
    assert "skew" not in again.out + again.err
    project.check(again, runs=0)


def test_12_a_branch_switch_and_back_runs_nothing(project: Project) -> None:
    """git writes the files anew with the bytes they had."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    program(project)
    git = ["git", f"--git-dir={project.root}/repository", f"--work-tree={project.tree}"]
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]

    def run(*words: str) -> None:
        subprocess.run([*git, *identity, *words], env=project.environment, check=True, capture_output=True)

    run("init")
    run("add", "main.c", "a.c", "Makefile")
    run("commit", "-m", "one")
    run("checkout", "-b", "other")
    (project.tree / "a.c").write_text("int a(void) { return 9; }\n")
    run("commit", "-am", "two")
    run("checkout", "main")
    project.build()
    run("checkout", "other")
    run("checkout", "main")
    project.check(project.rebuild(), runs=0)


def test_13_a_header_rewritten_with_equal_bytes_runs_nothing(project: Project) -> None:
    """A merge that leaves a core header with a new inode and a new time but the same bytes."""
    program(project)
    project.write("core.h", "#define ONE 1\n")
    project.write("a.c", '#include "core.h"\nint a(void) { return ONE; }\n')
    project.edit("Makefile", "%.o: %.c", "%.o: %.c core.h")
    project.build()
    project.delete("core.h")
    project.write("core.h", "#define ONE 1\n")
    project.check(project.rebuild(), runs=0)


def test_14_two_edited_inputs_of_one_step_run_it_once(project: Project) -> None:
    """One step, two changed inputs, one run."""
    project.write("Makefile", "out: x y\n\tcat x y > out\n")
    project.write("x", "x\n")
    project.write("y", "y\n")
    project.build()
    project.write("x", "X\n")
    project.write("y", "Y\n")
    project.check(project.rebuild(), runs=1)


@pytest.mark.parametrize("recipe", ["cat in > out; sleep 0.4", "cat in > out; sleep 0.4; cat in >> out"])
def test_15_an_input_edited_while_its_step_runs_is_seen_next_time(project: Project, recipe: str) -> None:
    """What the step made of the old bytes is not taken for the result of the new ones."""
    project.write("Makefile", f"out: in\n\t{recipe}\n")
    project.write("in", "old\n")
    build = project.start()
    assert wait_for(lambda: project.has("out") and project.text("out") == "old\n")
    project.write("in", "new\n")
    build.finish()
    project.check(project.rebuild(), runs=2)


@pytest.mark.parametrize(
    ("look", "edited"),
    [
        ("ls d", "d/b"),
        ("cat d/a", "d/a"),
        ("cat d/b || echo none", "d/b"),
        ("wc -c d/a", "d/a"),
        ("test -e d/b; echo $$?", "d/b"),
    ],
)
def test_what_changes_between_two_steps_that_look_at_it_is_seen_next_time(
    project: Project, look: str, edited: str
) -> None:
    """The build saw two values: that of the later step is no reason to call the earlier one current."""
    project.write(
        "Makefile",
        "all: out1 mid out2\n"
        f"out1:\n\t{{ {look}; }} > out1\n"
        "mid: out1\n\twhile test ! -e go; do sleep 0.02; done; echo > mid\n"
        f"out2: mid\n\t{{ {look}; }} > out2\n",
    )
    project.write("d/a", "a\n")
    build = project.start()
    assert wait_for(lambda: project.has("out1") and project.text("out1") != "")
    project.write(edited, "changed\n")
    project.write("go", "")
    build.finish()
    project.check(project.rebuild())
    assert project.text("out1") == project.text("out2")
    project.check_null(project.build())
