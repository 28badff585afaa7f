"""Builds without make: what is seen of them is what is seen of make, and what make decides is left to it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from .running import wait_for

if TYPE_CHECKING:
    from .project import Project

PROG = """\
all: prog sub
prog: a.o b.o
	cat a.o b.o > prog
%.o: %.c h
	@echo "  CC $@"
	cat $< h > $@
.PHONY: all sub
sub: prog
	$(MAKE) -C sub
"""
SUB = """\
all: out
out: in ../prog
	cat in ../prog > out; echo 'sub: warning' >&2
"""


@pytest.fixture
def built(project: Project) -> Project:
    """A program, and what a make below makes of it; it has been gone through once."""
    project.environment["HASHMAKE_STORE"] = "off"
    project.write("Makefile", PROG)
    project.write("sub/Makefile", SUB)
    for name in ("a.c", "b.c", "h", "sub/in"):
        project.write(name, f"{name} 1\n")
    project.check(project.build())
    return project


def mode(project: Project) -> str:
    return str(project.log()["mode"])


@pytest.mark.parametrize("options", [(), ("-j4",)])
@pytest.mark.parametrize("edited", [["a.c"], ["h"], ["sub/in"], ["b.c", "sub/in"]])
def test_make_is_not_started_for_an_edited_source(built: Project, edited: list[str], options: tuple[str, ...]) -> None:
    for content in ("2", "3"):
        for name in edited:
            built.write(name, f"{name} {content}\n")
        built.check(built.build(*options))
        assert mode(built) == "replay"


def test_what_is_printed_is_what_make_prints(built: Project) -> None:
    """The lines of the recipes that run, in their order, and the directories that makes below enter."""
    for name in ("a.c", "sub/in"):
        built.write(name, "2\n")
    without = built.build()
    assert mode(built) == "replay"
    for name in ("a.c", "sub/in"):
        built.write(name, "3\n")
    with_make = built.build(HASHMAKE_REPLAY="off")
    assert mode(built) == "make"
    assert without.out == with_make.out
    assert "Entering directory" in without.out
    warnings = [[line for line in r.err.splitlines() if "warning" in line] for r in (without, with_make)]
    assert warnings == [["sub: warning"]] * 2


def test_an_option_and_a_variable_have_make_evaluate(built: Project) -> None:
    built.write("a.c", "2\n")
    assert built.build("--no-replay").status == 0
    assert (mode(built), built.text("prog")) == ("make", "2\nh 1\nb.c 1\nh 1\n")
    built.write("a.c", "3\n")
    built.check(built.build(HASHMAKE_REPLAY="off"))
    assert mode(built) == "make"


def test_a_makefile_below_is_evaluated_and_no_other(built: Project) -> None:
    built.write("sub/Makefile", SUB.replace("cat in", "cat in in"))
    built.check(built.build("-j4"))
    assert mode(built) == "replay"
    assert built.log()["evaluated"] == 2  # the goal's own make is counted, gone through or not
    assert built.text("sub/out").startswith("sub/in 1\nsub/in 1\n")


def test_a_makefile_that_includes_another_version_of_what_is_made_is_evaluated(project: Project) -> None:
    project.write("Makefile", "include config.mk\nall: out\nout: in\n\techo $(WORD) > out\nconfig.mk: c\n\tcp c $@\n")
    project.write("c", "WORD = one\n")
    project.write("in", "")
    project.check(project.build())
    project.write("c", "WORD = two\n")
    project.check(project.build())
    assert project.text("out") == "two\n"


def test_what_make_says_itself_is_said_in_each_build_in_which_a_step_runs(project: Project) -> None:
    project.write("Makefile", "$(info flavour: plain)\nall: out\nout: in\n\tcp in out\n")
    project.write("in", "1\n")
    project.check(project.build())
    project.write("in", "2\n")
    assert project.build().out == "flavour: plain\ncp in out\n"
    assert mode(project) == "make"


def test_a_rule_that_goes_by_time_is_asked_for(project: Project) -> None:
    """A shipped file is older than what it was made of only now; that something else reads that does not count."""
    text = (
        "all: prog doc\nprog: parser.c\n\tcat parser.c > prog\nparser.c: parser.y\n\tsed 's/^/made: /' parser.y > $@\n"
    )
    project.write("Makefile", text + "doc: parser.y\n\tcp parser.y doc\n")
    project.write("parser.y", "1\n")
    project.touch("parser.y", date=1_000_000_000)
    project.write("parser.c", "shipped 1\n")
    project.build()
    assert project.text("prog") == "shipped 1\n"
    project.write("parser.y", "2\n")
    project.build()
    assert (project.text("prog"), project.text("doc")) == ("made: 2\n", "2\n")


def test_a_step_that_fails_says_so_once_and_make_names_it(built: Project) -> None:
    built.write("sub/Makefile", "all: out\nout: in\n\tgrep good in > out\n")
    built.write("sub/in", "good\n")
    built.check(built.build())
    built.write("sub/in", "bad\n")
    failed = built.attempt()
    assert failed.status == 2
    assert failed.count("grep") == 1
    assert failed.out.count("grep good in > out") == 1
    assert "make[1]: *** [Makefile:3: out] Error 1" in failed.err
    built.write("sub/in", "good again\n")
    built.check(built.build())


def test_makes_that_are_evaluated_share_the_jobs(built: Project) -> None:
    """A make below finds a jobserver, as it would below make."""
    built.write("sub/Makefile", SUB.replace("cat in", "cat in in"))
    done = built.build("-j4")
    built.check(done)
    built.write("sub/Makefile", SUB.replace("cat in", "cat in in in"))
    done = built.build("-j4")
    built.check(done)
    assert mode(built) == "replay"
    assert "jobserver" not in done.err


def test_an_interrupt_leaves_nothing_torn(built: Project) -> None:
    """Ctrl-C while a step runs: status 130, the half of a product goes, the next build is right."""
    text = PROG.replace(
        "cat a.o b.o > prog", "cat a.o b.o > prog; while [ -e wait ]; do sleep 0.05; done; cat h >> prog"
    )
    built.write("Makefile", text)
    built.check(built.build())
    (built.tree / "wait").write_text("")
    built.write("a.c", "2\n")
    begun = built.start()
    assert wait_for(lambda: built.has("prog") and built.text("prog").startswith("2\n"))
    begun.running.interrupt()
    result = begun.abandon()
    (built.tree / "wait").unlink()
    assert result.status in (130, -signal.SIGINT)
    assert not built.has("prog")
    built.check(built.rebuild())


@pytest.mark.parametrize("command", ["echo $${NEW_ONE-none}", "sh show"])
def test_a_variable_that_no_step_could_name_is_handed_on_as_it_is_now(project: Project, command: str) -> None:
    """A terminal of its own for each build; and a script that begins to ask for one of its variables."""
    project.environment["HASHMAKE_STORE"] = "off"
    project.write("Makefile", "all: out\n\t$(MAKE) -C sub\nout: in\n\tcat in > out\n")
    project.write(
        "sub/Makefile", f"all: out\nout: ../in show\n\t. ./show > out\n\techo {command.split(maxsplit=1)[0]} >> out\n"
    )
    project.write("sub/show", "cat ../in\n")
    project.write("in", "1\n")
    project.check(project.build(NEW_ONE="0"))
    for value in ("", "1", "2"):
        project.environment.pop("NEW_ONE", None)
        project.environment.update({"NEW_ONE": value} if value else {})
        project.write("in", f"{value}\n")
        project.check(project.build())
        assert mode(project) == "replay"
    project.write("sub/show", command.replace("$$", "$").replace("sh show", "env | grep NEW_ONE") + "\n")
    project.check(project.build(NEW_ONE="3"))
    assert (mode(project), project.text("sub/out").split()[0].removeprefix("NEW_ONE=")) == ("replay", "3")
    project.check(project.build(NEW_ONE="4"))  # now it counts
    assert project.text("sub/out").split()[0].removeprefix("NEW_ONE=") == "4"


def test_makes_own_flags_in_the_environment_are_makes_affair(built: Project) -> None:
    built.write("a.c", "2\n")
    built.check(built.build(MAKELEVEL="1"))
    assert mode(built) == "make"


def test_an_included_makefile_that_comes_out_differently_has_its_make_evaluate(project: Project) -> None:
    """The make that has it made reads it then: what it was made from is an edited source like any other."""
    project.write("Makefile", "all:\n\t$(MAKE) -C sub\n")
    rule = "words.mk: words.in\n\tsed 's/^/WORDS := /' $< > $@\n"
    project.write("sub/Makefile", f"all: out\ninclude words.mk\nout: in\n\techo $(WORDS) > out\n{rule}")
    project.write("sub/words.in", "one\n")
    project.write("sub/in", "")
    project.check(project.build())
    for word in ("two", "three"):
        project.write("sub/words.in", f"{word}\n")
        project.check(project.build())
        assert project.text("sub/out") == f"{word}\n"
