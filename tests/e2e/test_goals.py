"""Goals that make the same directories, taking turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .project import Project

MADE_TWICE = """\
all: d/x
sub: d/y
d/x: in
	mkdir d
	cp in d/x
d/y: in
	mkdir d
	cp in d/y
"""


def test_a_directory_that_another_goal_makes_by_the_same_step_is_that_steps_product(project: Project) -> None:
    """A clean build of sub makes it; stock make after all fails, as the directory is in its way."""
    project.write("Makefile", MADE_TWICE)
    project.write("in", "x\n")
    project.build("all")
    project.check(project.build("sub"), extra=("d/x",), runs=1)
    project.write("in", "y\n")
    project.check(project.build("sub"), extra=("d/x",), runs=1)


def test_a_directory_that_another_goal_makes_otherwise_is_in_the_way(project: Project) -> None:
    """mkdir was taken for current though its directory was there when the step was asked for."""
    project.write("Makefile", MADE_TWICE)
    project.write("in", "x\n")
    project.build("sub")
    project.delete("Makefile")
    project.write("Makefile", MADE_TWICE.replace("mkdir d\n\tcp in d/x", "mkdir ./d\n\tcp in d/x"))
    assert project.attempt("all").status == 2


DIRECTORIES = """\
all: d/e/x
sub: d/e/y
$(shell mkdir -p $(if $(filter sub,$(MAKECMDGOALS)),d/e,d d/e))
d/e/x d/e/y: in
	cp in $@
"""


def test_goals_that_share_directories_take_turns(project: Project) -> None:
    """A directory that one goal makes and the other one finds is there for both, in whatever order."""
    project.write("Makefile", DIRECTORIES)
    project.write("in", "x\n")
    for turn, goal in enumerate(("all", "sub", "all", "all", "sub", "sub", "all")):
        project.write("in", f"{turn}\n")
        assert project.build(goal).status == 0
        assert project.text("d/e/x" if goal == "all" else "d/e/y") == f"{turn}\n"
        assert project.build(goal).count() == 0


ONLY_IF_EMPTY = """\
all: d/e/x
sub: d/e/y
ifeq ($(wildcard d/e/x d/e/y),)
$(shell mkdir -p d/e)
endif
d/e/x d/e/y: in
	cp in $@
"""


def test_a_directory_is_there_when_something_in_it_is(project: Project) -> None:
    """Kbuild makes directories only for targets of which none is there: kernel/ left one in a directory of all's."""
    project.write("Makefile", ONLY_IF_EMPTY)
    project.write("in", "1\n")
    project.build("all")
    project.build("sub")
    project.write("in", "2\n")
    assert project.build("all").count() == 1
    assert (project.text("d/e/x"), project.text("d/e/y")) == ("2\n", "1\n")
    project.check_null(project.rebuild("all"))
    project.delete("Makefile")
    project.write("Makefile", ONLY_IF_EMPTY + "ls := $(wildcard d/* *)\n")
    project.build("all")
    project.check_null(project.rebuild("all"))


def test_a_directory_with_a_source_of_the_user_is_there(project: Project) -> None:
    """The same with a file that no goal made; and no rule is said to be missing for the directory."""
    project.write("Makefile", ONLY_IF_EMPTY.replace("d/e/x d/e/y),", "d/e/x d/e/y d/e/mine),"))
    project.write("in", "1\n")
    project.build("all")
    project.write("d/e/mine", "mine\n")
    project.write("in", "2\n")
    rebuilt = project.rebuild("all")
    project.check(rebuilt, runs=1)
    assert "no rule" not in rebuilt.err


LISTED = """\
seen := $(shell ls)
$(shell mkdir -p d)
all: d/x
sub: d/y
d/x d/y: in
	cp in $@
"""


def test_a_listing_from_before_the_step_that_makes_a_shared_directory_is_no_difference(project: Project) -> None:
    """The listing showed the directory, as another goal's file lies in it; then its step was asked for: never null."""
    project.write("Makefile", LISTED)
    project.write("in", "1\n")
    project.build("all")
    project.build("sub")
    for number, goal in enumerate(("all", "sub", "all")):
        project.write("in", f"{number}\n")
        project.rebuild(goal)
        project.check_null(project.rebuild(goal))


def test_a_makefile_that_the_build_writes_is_there_for_builds_that_begin_with_it(project: Project) -> None:
    """make O=out, then make -C out, as with a kernel: what make has read was there, though a step makes it again."""
    project.write(
        "Makefile",
        "top := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))\n"
        "all:\n\t$(MAKE) -C $(top) inner\n"
        "inner: outputmakefile\n\tcp in out/copy\n"
        "outputmakefile:\n\tmkdir -p out\n\techo 'include $(top)/Makefile' > out/Makefile\n"
        ".PHONY: all inner outputmakefile\n",
    )
    project.write("in", "1\n")
    (project.tree / "out").mkdir()
    project.build("O=out")
    for text in ("2\n", "3\n", "4\n"):
        project.write("in", text)
        result = project.attempt("-C", "out")
        assert result.status == 0, result.err
        assert project.text("out/copy") == text
        assert result.count() == 1


def test_a_directory_that_another_goal_keeps_does_not_wake_the_make_that_makes_it(project: Project) -> None:
    """Hidden until its step asks, seen to be there before: tinyconfig leaves Linux its scripts/."""
    project.write("Makefile", "one two:\n\t$(MAKE) -f sub.mk $@\n.PHONY: one two\n")
    project.write("sub.mk", "$(info evaluated)\none two: %: d/%\nd: ; mkdir d\nd/%: in | d\n\tcp in $@\n")
    project.write("in", "in\n")
    project.check(project.build("one"))
    project.check(project.build("two"), extra=("d/one",))
    for number in range(3):
        project.write("Makefile", (project.tree / "Makefile").read_text() + f"# {number}\n")
        again = project.rebuild("two")
        assert "evaluated" not in again.out
        project.check(again, extra=("d/one",), runs=0)
