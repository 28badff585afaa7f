"""Scenarios 28 to 42: commands, variables, tools, and what a change of them means."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .project import Project

PROGRAM = """\
prog: main.o a.o
	$(CC) -o $@ main.o a.o
%.o: %.c
	$(CC) -DLEVEL=$(LEVEL) -c -o $@ $<
"""


def program(project: Project) -> None:
    project.write("Makefile", PROGRAM)
    project.write("main.c", "int a(void);\nint main(void) { return a() + LEVEL; }\n")
    project.write("a.c", "int a(void) { return LEVEL; }\n")
    project.environment["LEVEL"] = "1"


def test_28_an_edited_recipe_runs_its_steps(project: Project) -> None:
    """The text of the command is an input."""
    program(project)
    project.build()
    project.edit("Makefile", "-DLEVEL=$(LEVEL)", "-DLEVEL=2")
    project.check(project.rebuild(), runs=3)


def test_29_a_variable_of_the_command_line_counts_where_it_is_used(project: Project) -> None:
    """make LEVEL=3, then make LEVEL=4."""
    program(project)
    project.build("LEVEL=3")
    project.check(project.rebuild("LEVEL=4"), runs=3)


def test_30_a_variable_of_the_environment_counts_where_it_is_used(project: Project) -> None:
    """The makefile expands it."""
    program(project)
    project.build(LEVEL="5")
    project.check(project.rebuild(LEVEL="6"), runs=3)


def test_31_a_variable_that_only_a_script_reads_counts(project: Project) -> None:
    """The makefile never mentions it."""
    project.write("Makefile", "out: in\n\t./generate\n")
    project.write("in", "x\n")
    project.script("generate", '#!/bin/sh\nsed "s/x/$FLAVOUR/" in > out\n')
    project.build(FLAVOUR="sweet")
    project.check(project.rebuild(FLAVOUR="sour"), runs=1)


def test_32_the_terminal_and_the_session_are_no_inputs(project: Project) -> None:
    """Width, terminal, shell depth and login say nothing about products."""
    program(project)
    project.build(COLUMNS="80", TERM="xterm", SHLVL="1", OLDPWD="/", SSH_TTY="/dev/pts/1")
    project.check(project.rebuild(COLUMNS="132", TERM="dumb", SHLVL="4", SSH_CLIENT="::1 1 2", _="x"), runs=0)


def test_32_a_variable_that_nobody_reads_is_no_input(project: Project) -> None:
    """Neither make nor a step asks for it."""
    program(project)
    project.build(UNREAD="1")
    project.check(project.rebuild(UNREAD="2"), runs=0)


def test_32_awk_reads_variables_that_its_program_can_name(project: Project) -> None:
    """Each object of a kernel is looked at by an awk that names none: a new terminal runs nothing."""
    project.write(
        "Makefile",
        "all: asks plain\n"
        "asks: in\n\tawk '{ print ENVIRON[$$1] }' in > $@\n"
        "plain: in\n\tawk '{ print $$1; exit }' in > $@\n",
    )
    project.write("in", "WORD\n")
    project.build(UNREAD="1", WORD="one")
    assert project.text("asks") == "one\n"
    project.check(project.rebuild(UNREAD="2", WORD="one"))
    (ran,) = project.log()["ran"]
    assert ran["reason"]["text"] == "the variable UNREAD changed: 1 -> 2"
    project.check(project.rebuild(UNREAD="2", WORD="two"))
    assert project.text("asks") == "two\n"


def test_33_a_makefile_comment_or_an_unrelated_rule_runs_nothing(project: Project) -> None:
    """The makefile's text changes, no command does."""
    program(project)
    project.edit("Makefile", "%.o: %.c", "%.o: %.c Makefile")
    project.build()
    project.edit("Makefile", "prog:", "# a comment\nprog:")
    project.write("Makefile", (project.sources / "Makefile").read_text() + "unrelated:\n\tfalse\n")
    project.check(project.rebuild(), runs=0)


def compiler(project: Project, option: str) -> None:
    project.script("tools/compiler", f'#!/bin/sh\nexec cc {option} "$@"\n')


def test_34_a_replaced_compiler_runs_every_compile(project: Project) -> None:
    """Same path, same version string, other bytes."""
    program(project)
    compiler(project, "-DSHIFT=0")
    project.edit("a.c", "LEVEL", "LEVEL + SHIFT")
    project.build("CC=tools/compiler")
    compiler(project, "-DSHIFT=1")
    project.check(project.rebuild("CC=tools/compiler"), runs=3)


def test_35_a_touched_compiler_runs_nothing(project: Project) -> None:
    """The makefile even names it as a prerequisite."""
    program(project)
    compiler(project, "-DSHIFT=0")
    project.edit("Makefile", "%.o: %.c", "%.o: %.c tools/compiler")
    project.build("CC=tools/compiler")
    project.touch("tools/compiler")
    project.check(project.rebuild("CC=tools/compiler"), runs=0)


def test_36_a_replaced_interpreter_runs_its_scripts(project: Project) -> None:
    """The program that a script's first line names is an input."""
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    project.copy_in("tools/shell", Path("/bin/sh").resolve())
    project.script("generate", f'#!{project.tree}/tools/shell\necho "${{BASH_VERSION:+bash}}" | cat - in > out\n')
    project.write("in", "x\n")
    project.write("Makefile", "out: in\n\t./generate\n")
    project.build()
    project.copy_in("tools/shell", Path("/bin/bash").resolve())
    project.check(project.rebuild(), runs=1)
    assert project.text("out") == "bash\nx\n"


@pytest.mark.parametrize("arguments", ["-j2", "-k -s", "-w -O", "V=1", "-j2 --no-print-directory V=0"])
def test_37_options_that_change_only_the_manner_run_nothing(project: Project, arguments: str) -> None:
    """Jobs, silence, directories and verbosity are not part of a step."""
    program(project)
    project.edit("Makefile", "\t$(CC) -D", "\t$(if $(V),,@)$(CC) -D")
    project.build()
    project.check(project.rebuild(*arguments.split()), runs=0)


def test_38_locale_and_time_zone_count_for_the_tools_that_read_them(project: Project) -> None:
    """date prints another hour."""
    project.write("Makefile", "out:\n\tdate -d @0 +%H > out\n")
    project.build(TZ="UTC")
    project.check(project.rebuild(TZ="EAST-5"), runs=1)
    assert project.text("out") == "05\n"


def test_39_a_new_umask_shows_only_in_steps_that_run(project: Project) -> None:
    """The umask is no input; whether a product can be executed is part of it."""
    program(project)
    project.build()
    project.umask = 0o077
    project.check(project.rebuild(), runs=0)
    project.edit("a.c", "LEVEL", "LEVEL + 1")
    project.check(project.rebuild(), runs=2)
    assert (project.tree / "prog").stat().st_mode & 0o777 == 0o700


def test_40_the_way_into_the_directory_does_not_matter(project: Project) -> None:
    """-C from above, -f, and a symbolic link to the directory find the same steps."""
    program(project)
    project.build()
    (project.root / "link").symlink_to("tree")
    project.check(project.rebuild("-C", "tree", cwd=project.root), runs=0)
    project.check(project.rebuild("-f", "Makefile"), runs=0)
    project.check(project.rebuild(cwd=project.root / "link"), runs=0)


def test_41_newer_prerequisites_are_all_of_them(project: Project) -> None:
    """$? holds what it holds in a clean build; a touched prerequisite runs nothing."""
    project.write("Makefile", "out: x y\n\tcat $? > out\n")
    project.write("x", "x\n")
    project.write("y", "y\n")
    project.build()
    project.touch("x")
    project.check(project.rebuild(), runs=0)
    project.write("y", "Y\n")
    project.check(project.rebuild(), runs=1)


def test_42_going_to_another_goal_and_back_runs_nothing(project: Project) -> None:
    """What was made for the first goal is still good."""
    program(project)
    project.write("Makefile", PROGRAM + "other: a.c\n\tcp a.c other\n")
    project.build("prog")
    project.build("other")
    project.check(project.rebuild("prog"), runs=0, extra=("other",))


CONFIGURED = """\
out: auto.conf in
	cat auto.conf in > out
config:
	cp common .config
.config:
	@echo no configuration; false
auto.conf: .config
	REWRITE
	cp .config auto.conf
"""


REWRITES = ["true", "sed s/c/d/ .config > .config.new; mv .config.new .config", "echo >> .config"]


@pytest.mark.parametrize("rewrite", REWRITES)
def test_42_a_file_of_one_goal_that_another_goal_rewrites_is_never_lost(project: Project, rewrite: str) -> None:
    """As .config, which tinyconfig writes and syncconfig writes again: each build starts from the first goal's file."""
    project.write("Makefile", CONFIGURED.replace("REWRITE", rewrite))
    project.write("common", "c\n")
    project.write("in", "1\n")
    project.build("config")
    project.build()
    first = project.text("auto.conf")
    for text in ("2\n", "3\n"):
        project.write("in", text)
        result = project.rebuild()
        assert result.status == 0, result.out + result.err
        assert project.text("out") == first + text
        assert len(result.runs) == 1
        project.check_null(result)
