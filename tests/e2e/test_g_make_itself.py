"""Scenarios 98 to 100: recursion, options and makefile features, where the tool must be like make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .snapshot import STATE_DIRECTORY, contents

if TYPE_CHECKING:
    from .project import Project

RECURSIVE = {
    "Makefile": "all: one two\n\tcat one/one two/two > all\none two:\n\t$(MAKE) -C $@\n.PHONY: all one two\n",
    "one/Makefile": "one: in deep/deep\n\tcat in deep/deep > one\ndeep/deep: FORCE\n\t+$(MAKE) -C deep\nFORCE:\n",
    "one/deep/Makefile": "deep: in\n\tcat in > deep\n",
    "two/Makefile": "two: in\n\tcat in > two\n",
    "one/in": "1\n",
    "one/deep/in": "deep\n",
    "two/in": "2\n",
}
OPTIONS = """\
prog: a.o b.o
	cat a.o b.o > prog
%.o: %.c
	cp $< $@
	@echo made $@
plus:
	+cp a.c plus
	cp b.c minus
bad:
	@false
"""


def files(project: Project, texts: dict[str, str]) -> None:
    for path, text in texts.items():
        project.write(path, text)


@pytest.mark.parametrize(("path", "runs"), [("one/deep/in", 3), ("two/in", 2), ("one/in", 2)])
def test_98_an_edit_deep_below_runs_its_own_chain_only(project: Project, path: str, runs: int) -> None:
    """Recursive make: the other directories stay untouched."""
    files(project, RECURSIVE)
    project.build("-j2")
    project.write(path, "edited\n")
    project.check(project.rebuild("-j2"), runs=runs)


def test_98_an_edited_makefile_below_counts(project: Project) -> None:
    """The sub-make evaluates it again."""
    files(project, RECURSIVE)
    project.build("-j2")
    project.edit("one/deep/Makefile", "cat in", "cat in in")
    project.check(project.rebuild("-j2"), runs=3)


def options(project: Project) -> None:
    files(project, {"Makefile": OPTIONS, "a.c": "a\n", "b.c": "b\n"})


DRY = ["-n", "-q", "-n plus", "--just-print -s", "-v", "-h", "-q a.o", "-n nosuchgoal"]
WET = ["", "-s", "-j2 -O", "--output-sync=target", "--trace", "-k bad a.o", "-i bad", "-t", "plus", "nosuchgoal"]
WET += [
    "a.o b.o",
    "-w",
    "--no-print-directory",
    "-B",
    "-f nosuchfile",
    "--nosuchoption",
    "-o a.o",
    "-W a.c",
    "-e",
    "-r",
]
WET += ["-R", "-l 100", "-C ."]


@pytest.mark.parametrize("arguments", DRY + WET)
def test_99_options_mean_what_they_mean_to_make(project: Project, arguments: str) -> None:
    """Same output, same status, same files; a dry run writes nothing, no state either."""
    options(project)
    result = project.attempt(*arguments.split())
    clean = project.clean_build(result)
    assert result.status == clean.status
    assert sorted(result.out.splitlines()) == sorted(clean.out.splitlines())
    assert [line for line in result.err.splitlines() if not line.startswith("hashmake: ")] == clean.err.splitlines()
    assert contents(project.tree) == clean.contents
    if arguments in DRY and "plus" not in arguments:
        assert not project.has(STATE_DIRECTORY)


def test_99_the_makefile_database_is_printed(project: Project) -> None:
    """-p shows rules and variables as make does."""
    options(project)
    result = project.attempt("-p", "-q")
    assert result.status == 1
    assert "prog: a.o b.o" in result.out.splitlines()


def test_99_a_dry_run_tells_what_an_edit_means_and_changes_nothing(project: Project) -> None:
    """After an edit -n shows the stale steps and only those, -q says 1; after the build 0."""
    options(project)
    project.build()
    assert project.rebuild("-q").status == 0
    project.write("a.c", "A\n")
    before = contents(project.tree)
    dry = project.rebuild("-n")
    assert "cp a.c a.o" in dry.out
    assert "cp b.c b.o" not in dry.out
    assert project.rebuild("-q").status == 1
    assert not dry.runs
    assert contents(project.tree) == before
    project.check(project.rebuild(), runs=2)


def test_99_everything_runs_when_the_user_says_so(project: Project) -> None:
    """-B distrusts all that is there."""
    options(project)
    project.build()
    result = project.rebuild("-B")
    assert len(result.runs) == 3
    project.check(result)


FEATURES = {
    "order-only": ("all: dir/out\ndir/out: in | dir\n\tcat in > dir/out\ndir:\n\tmkdir dir\n", 1),
    "double-colon": ("all: out\nout:: in\n\tcat in > out\nout:: more\n\tcat more >> out\n", 2),
    "secondary-expansion": (".SECONDEXPANSION:\nout: SOURCES = in\nout: $$(SOURCES)\n\tcat $^ > out\n", 1),
    "one-shell": (".ONESHELL:\nout: in\n\tv=$$(cat in)\n\techo $$v > out\n", 1),
    "vpath": ("VPATH = sub\nout: below in\n\tcat $^ > out\n", 1),
    "built-in-rules": ("CFLAGS = -DIN=1\nall: prog.o\nprog.o: in\n", 1),
    "intermediate": ("all: x.out\n%.mid: %.src in\n\tcat in > $@\n%.out: %.mid\n\tcp $< $@\n", 2),
    "export": ("export V := $(shell cat in)\nout:\n\techo $$V | cat > out\n", 2),
    "shell-function": ("V := $(shell cat in)\nout:\n\techo $(V) | cat > out\n", 2),
    "file-function": ("V := $(file < in)\nout:\n\techo $(V) | cat > out\n", 1),
    "target-variable": ("out: V = 1\nout: in\n\tcat in > out; echo $(V) >> out\n", 1),
    "define": ("define both\ncp in $@\ncat in >> $@\nendef\nout:\n\t$(both)\n", 2),
    "delete-on-error": (".DELETE_ON_ERROR:\nout: in\n\tcat in > out\n", 1),
    "static-pattern": ("all: x.o y.o\nx.o y.o: %.o: in\n\tcp in $@\n", 2),
    "phony": (".PHONY: all\nall: out\n\t@echo done\nout: in\n\tcp in out\n", 1),
    "not-parallel": (".NOTPARALLEL:\nall: x y\nx: in\n\tcp in x\ny: in\n\tcp in y\n", 2),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_100_makefile_features_work_as_in_make(project: Project, feature: str) -> None:
    """Built, edited and built again with make's special features: as clean, and no more than needed runs."""
    makefile, runs = FEATURES[feature]
    texts = {"Makefile": makefile, "in": "1\n", "more": "m\n", "sub/below": "b\n", "x.src": "s\n", "prog.c": "int v;\n"}
    files(project, texts)
    project.build("-j2")
    project.write("in", "2\n")
    project.check(project.rebuild("-j2"), runs=runs)
