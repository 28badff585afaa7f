"""What a build prints is an output where somebody reads it, and a command that is asked for twice runs twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .project import Project

# A make whose output is kept by the build that it is part of: a product, lines that only print, and both in one.
LOGGED = """\
all: log
log: FORCE
	@$(MAKE) {options} -f inner.mk > log 2>&1
FORCE:
"""
INNER = """\
all: made said both
made: in
	cp in made
said:
	@echo said
both: other
	cp other both; echo warning: both >&2; echo made both
.PHONY: said
"""


def test_a_command_that_is_asked_for_twice_runs_twice(project: Project) -> None:
    """The second was answered from the first, which had left nothing that could be looked at."""
    project.write("Makefile", "all: one two\n\t@echo done\n\t@echo done\none two:\n\t@echo hello\n.PHONY: one two\n")
    assert project.build().out.splitlines() == ["hello", "hello", "done", "done"]


def test_what_a_captured_make_prints_is_kept_with_its_steps(project: Project) -> None:
    """A log that the build itself writes holds what steps print that are current, echo and warnings too."""
    for options in ("--no-print-directory", "-s"):
        project.write("Makefile", LOGGED.format(options=options))
        project.write("inner.mk", INNER)
        project.write("in", "1\n")
        project.write("other", "1\n")
        project.check(project.rebuild())
        project.edit("in", "1", "2")
        edited = project.rebuild()
        project.check(edited)
        assert "cp other both" not in "".join(step["command"] for step in project.log()["ran"])
        project.edit("other", "1", "2")
        project.check(project.rebuild())


@pytest.mark.parametrize(
    "streams",
    ["> log", "2> log", "> log 2> errors", "2> errors | cat > log", "2>&1 > log | cat > errors", ">> log 2>> log"],
)
def test_each_stream_that_somebody_reads_is_kept(project: Project, streams: str) -> None:
    """Standard error alone was repeated by nobody; with its own reader it came out with standard output."""
    project.write("Makefile", LOGGED.replace("> log 2>&1", streams).format(options="-s"))
    project.write("inner.mk", INNER)
    project.write("in", "1\n")
    project.write("other", "1\n")
    project.check(project.rebuild())
    project.edit("in", "1", "2")
    project.check(project.rebuild())
    assert "cp other both" not in "".join(step["command"] for step in project.log()["ran"])
    project.edit("other", "1", "2")
    project.check(project.rebuild())
    project.write("Makefile", LOGGED.format(options="-s"))
    project.check(project.rebuild(), extra=("errors",))


def test_a_script_that_is_still_writing_while_it_calls_make_is_seen_to_the_end(project: Project) -> None:
    """`sh script > out`: out was taken as it was when make came up in the script."""
    project.write("Makefile", "all: out\nout: script in\n\tsh script > out\nname:\n\t@echo name\n.PHONY: name\n")
    project.write("script", "echo begins; N=$($MAKE -s name); echo $N; cat in\n")
    project.write("in", "1\n")
    project.check(project.rebuild(MAKE="make"), runs=2)


def test_a_process_left_behind_does_not_hold_up_a_captured_make(project: Project) -> None:
    """It has the log open; make does not wait for it, and neither do we."""
    project.write("Makefile", LOGGED.format(options="-s"))
    project.write("inner.mk", "all:\n\t@echo one; sleep 30 & echo $$! > pid\n\t@echo two\n.PHONY: all\n")
    result = project.build()
    assert project.text("log") == "one\ntwo\n"
    assert result.status == 0


QUERIES = """\
-include config.mk
V = 1.2
all: out
out: in
	cp in out
config.mk: config
	sed s/^/C=/ config > $@
print-%:
	@echo $($*)
info-%: ; $(info $($*))
version: generated
	@cat generated
generated: in
	cp in generated
.PHONY: version
"""


def test_a_goal_that_is_asked_what_it_prints_prints_each_time(project: Project) -> None:
    """Also where make remakes an included makefile first, and where something is made for the answer."""
    project.write("Makefile", QUERIES)
    project.write("config", "one\n")
    project.write("in", "1\n")

    def asked(goal: str, answer: str) -> None:
        for _ in range(3):
            assert project.rebuild("-s", goal).out == answer + "\n"

    asked("print-V", "1.2")
    assert project.rebuild("print-C").out.splitlines()[-1] == "one"
    assert project.rebuild("print-C").out.splitlines()[-1] == "one"
    asked("version", "1")
    project.build()
    asked("info-C", "one")
    project.edit("config", "one", "two")
    project.edit("in", "1", "2")
    asked("print-C", "two")
    asked("version", "2")
    project.build()
    asked("info-V", "1.2")


def test_a_goal_that_only_printed_for_another_make_prints_when_it_is_asked_for(project: Project) -> None:
    """Its steps were known from the other build, and taken for current."""
    project.write("Makefile", "all:\n\t@V=$$($(MAKE) -s release); echo $$V > out\nrelease:\n\t@echo 6.1\n")
    project.build()
    assert project.build("release").out == "6.1\n"


TALKING = """\
all: a.o b.o
%.o: %.c
	@echo "  CC $@"
	@cp $< $@
	echo did $@
	@test -f $< || echo no $<
"""


@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_a_line_that_only_prints_is_seen_where_another_line_of_its_recipe_runs(project: Project, jobs: str) -> None:
    """Before it and after it, with its echo; silent are the recipes of which no line runs."""
    project.write("Makefile", TALKING)
    project.write("a.c", "1\n")
    project.write("b.c", "1\n")
    project.check(project.build(jobs))
    project.check_null(project.build(jobs))
    project.write("a.c", "2\n")
    built = project.rebuild(jobs)
    project.check(built)
    assert built.out.splitlines() == ["  CC a.o", "echo did a.o", "did a.o"]
    project.write("b.c", "2\n")
    project.write("a.c", "3\n")
    built = project.rebuild(jobs)
    expected = [
        line.replace("a.o", name) for name in ("a.o", "b.o") for line in ("  CC a.o", "echo did a.o", "did a.o")
    ]
    assert sorted(built.out.splitlines()) == sorted(expected)


def test_lines_that_only_print_around_a_make_below(project: Project) -> None:
    """They are silent while nothing below has to be looked at."""
    project.write("Makefile", "all: other\n\t@echo into sub\n\t@$(MAKE) -s -C sub\nother: in\n\tcp in other\n")
    project.write("sub/Makefile", "x: y\n\t@echo making x\n\t@cp y x\n")
    project.write("sub/y", "1\n")
    project.write("in", "1\n")
    project.build()
    project.write("in", "2\n")
    built = project.rebuild()
    project.check(built)
    assert "sub" not in built.out
    project.write("sub/y", "2\n")
    built = project.rebuild()
    project.check(built)
    assert built.out.splitlines() == ["into sub", "making x"]


def test_what_a_shell_function_leaves_behind_does_not_hold_make_up(project: Project) -> None:
    """It has standard error open still, and waits for what a recipe does later."""
    project.write(
        "Makefile",
        "x := $(shell rm -f pipe; mkfifo pipe; (cat pipe; echo late >&2) >/dev/null & echo started)\n"
        "all:\n\techo $x > out; echo go > pipe; rm pipe\n",
    )
    project.check(project.build())
    assert project.text("out") == "started\n"
