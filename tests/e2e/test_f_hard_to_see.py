"""Scenarios 82 to 85: programs that escape a tracer, and steps out of proportion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import tool
from .running import wait_for

if TYPE_CHECKING:
    from .project import Project, Result

KINDS = """\
threads vfork posix_spawn clone fork fexecve openat2 syscall copy_file_range sendfile mmap tmpfile exchange directory
stdio io_uring""".split()
MANY = """\
all: sum parts
sum:
	sort many/* > sum
parts: in
	mkdir -p p; for i in $$(seq 1000); do echo $$i > p/$$i; done; cp in parts
"""


def compiled(directory: Path, name: str, *options: str) -> Path:
    """The program of kinds.c, made with these options, or a skip where they are not to be had."""
    source = Path(__file__).with_name("kinds.c")
    command = ["cc", "-O1", "-o", name, str(source), "-pthread", *options]
    if subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode:
        pytest.skip(f"cc cannot make a program with {options}")
    return directory / name


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for programs that are compiled once."""
    return tmp_path_factory.mktemp("programs")


def says_why(project: Project, result: Result, program: str) -> None:
    """The log or standard error names the program that could not be followed."""
    if not tool.is_stock_make():
        assert program in json.dumps(project.log()) + result.err


def test_82_a_static_program_is_never_wrongly_skipped(project: Project, programs: Path) -> None:
    """What it reads is not seen: its step runs each time, and the log says why."""
    project.copy_in("copier", compiled(programs, "copier", "-static"))
    project.write("Makefile", "out:\n\t./copier stdio in out\n")
    project.write("in", "1\n")
    project.build()
    project.write("in", "2\n")
    result = project.rebuild()
    project.check(result)
    says_why(project, result, "copier")
    project.write("in", "3\n")
    project.check(project.rebuild())


def test_82_what_a_static_program_left_in_a_directory_is_not_in_the_way(project: Project, programs: Path) -> None:
    """Its product lies, unseen, in a directory that a step makes: it is not the user's file."""
    project.copy_in("copier", compiled(programs, "copier", "-static"))
    project.write("Makefile", "out: in\n\tmkdir d\n\t./copier stdio in d/x\n\tcp in out\n")
    project.write("in", "1\n")
    project.check(project.build())
    project.write("in", "2\n")
    project.check(project.rebuild())


def test_82_a_set_user_id_program_is_never_wrongly_skipped(project: Project, programs: Path) -> None:
    """The loader drops LD_PRELOAD for it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a program to another user")
    program = shutil.copy(compiled(programs, "plain"), project.root / "setuid")
    os.chown(program, 65534, 65534)
    project.root.chmod(0o755)
    for directory in project.tree.parents:
        if directory.stat().st_mode & 0o005 != 0o005:
            directory.chmod(directory.stat().st_mode | 0o055)  # the other user must get at it
    (project.root / "drop").mkdir()
    (project.root / "drop").chmod(0o777)
    Path(program).chmod(0o4755)
    project.write(
        "Makefile", f"out:\n\t{program} stdio $(CURDIR)/in {project.root}/drop/out; cp {project.root}/drop/out out\n"
    )
    project.write("in", "1\n")
    project.build()
    project.write("in", "2\n")
    project.check(project.rebuild())


@pytest.mark.parametrize("wrapper", ["env -i", "env -u LD_PRELOAD", "LD_PRELOAD=", "python3 -I -E -c"])
def test_82_a_program_without_our_environment_is_followed_or_always_run(project: Project, wrapper: str) -> None:
    """Whoever clears LD_PRELOAD is not believed to have read nothing."""
    python = wrapper.startswith("python3")
    command = '\'import os; os.execve("/bin/cp", ["cp", "in", "out"], {})\'' if python else "/bin/cp in out"
    project.write("Makefile", f"out:\n\t{wrapper} {command}\n")
    project.write("in", "1\n")
    project.build()
    project.write("in", "2\n")
    project.check(project.rebuild())


def test_83_a_background_process_leaves_no_half_file_behind(project: Project) -> None:
    """It writes after its step has ended: the file is waited for or made again, never taken half."""
    late = "(cat in; sleep 0.3; cat in) > late 2> /dev/null < /dev/null &"
    project.write("Makefile", f"out: in\n\t{late} cp in out\n")
    project.write("in", "1\n")
    project.build()
    for text in ("2\n", "3\n"):
        assert wait_for(lambda: project.text("late") == 2 * project.text("in"))
        time.sleep(0.05)
        project.write("in", text)
        result = project.rebuild()
        assert wait_for(lambda: project.text("late") == 2 * project.text("in")), project.text("late")
        project.check(result, settle=0.5)


def test_84_every_way_to_a_file_is_followed(project: Project, programs: Path) -> None:
    """Threads, vfork, mmap, O_TMPFILE, renameat2, raw system calls, io_uring: an edit is noticed through each."""
    project.copy_in("kinds", compiled(programs, "kinds"))
    project.write("Makefile", f"all: {' '.join('out.' + kind for kind in KINDS)}\nout.%:\n\t./kinds $* in $@\n")
    project.write("in", "1\n")
    project.build("-j2")
    project.write("in", "22\n")
    project.check(project.rebuild("-j2"))
    project.lose(*(f"out.{kind}" for kind in KINDS))
    project.check(project.rebuild("-j2"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"syscall", "openat2", "io_uring"}])
def test_84_a_program_that_can_be_followed_is_skipped(project: Project, programs: Path, kind: str) -> None:
    """Seen fully, so the next build starts nothing."""
    project.copy_in("kinds", compiled(programs, "kinds"))
    project.write("Makefile", f"out:\n\t./kinds {kind} in out; cat in > other\n")
    project.write("in", "1\n")
    project.build()
    project.check(project.rebuild(), runs=0)


def test_85_a_long_command_line_is_no_obstacle(project: Project) -> None:
    """64 kilobytes in one recipe line."""
    words = " ".join(f"word{number:06}" for number in range(6000))
    project.write("Makefile", f"out: in\n\tcat in > out; echo {words} >> out\n")
    project.write("in", "1\n")
    project.build()
    project.write("in", "2\n")
    project.check(project.rebuild(), runs=1)


def test_85_ten_thousand_inputs_and_a_thousand_products_are_no_obstacle(project: Project) -> None:
    """One step reads them all, another writes them all."""
    project.share_files = True
    (project.sources / "many").mkdir()
    for number in range(10000):
        (project.sources / "many" / str(number)).write_text(f"{number}\n")
    shutil.copytree(project.sources / "many", project.tree / "many", copy_function=os.link)
    project.write("Makefile", MANY)
    project.write("in", "1\n")
    project.build()
    project.write("many/5000", "changed\n")
    project.check(project.rebuild(), runs=1)
    project.lose("p/500")
    project.check(project.rebuild(), runs=1)
