"""A file changes its role: what was generated is written by hand from now on, or the other way round."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .project import Project

GENERATED = """\
all: prog
prog: prog.c one.h two.h
	cat prog.c one.h two.h > prog
one.h: gen
	sh gen > one.h
two.h: gen
	sh gen > two.h
"""
WRITTEN = """\
all: prog
prog: prog.c one.h two.h
	cat prog.c one.h two.h > prog
"""


def generated(project: Project) -> None:
    project.write("Makefile", GENERATED)
    project.write("gen", "echo generated\n")
    project.write("prog.c", "prog\n")


def commit(project: Project, text: str) -> None:
    """The generated files are put among the sources, and their rules are dropped."""
    project.write("one.h", text)
    project.write("two.h", text)
    project.delete("gen")
    project.write("Makefile", WRITTEN)


def test_generated_files_that_are_committed_as_they_are_become_sources(project: Project) -> None:
    """They were hidden for ever: no rule to make them. Nothing of the vain attempts is shown."""
    generated(project)
    project.check(project.build(), runs=3)
    commit(project, "generated\n")
    built = project.rebuild()
    assert "No rule" not in built.out + built.err
    assert "***" not in built.out + built.err
    project.check(built, runs=1)
    project.edit("one.h", "generated", "written")
    project.check(project.rebuild(), runs=1)


def test_generated_files_that_are_committed_otherwise_become_sources(project: Project) -> None:
    """With another content, and in a sub-make."""
    generated(project)
    for name in (project.sources, project.tree):
        (name / "Makefile").rename(name / "inner.mk")
    project.write("Makefile", "all:\n\t@$(MAKE) -f inner.mk\n.PHONY: all\n")
    project.check(project.build(), runs=3)
    for text in ("written\n", "again\n"):
        project.write("one.h", text)
        project.write("two.h", text)
        project.write("inner.mk", WRITTEN)
        built = project.rebuild()
        assert "***" not in built.out + built.err
        project.check(built, runs=1)


def test_sources_that_become_generated_are_made(project: Project) -> None:
    """And back: the branch is switched twice."""
    project.write("Makefile", WRITTEN)
    project.write("prog.c", "prog\n")
    project.write("one.h", "written\n")
    project.write("two.h", "written\n")
    project.check(project.build(), runs=1)
    project.delete("one.h")
    project.delete("two.h")
    generated(project)
    project.check(project.rebuild(), runs=3)
    commit(project, "written\n")
    project.check(project.rebuild(), runs=1)


INCLUDES = "include one.mk two.mk\nall: out\nout: prog.c\n\tcat prog.c > out; echo $(ONE) $(TWO) >> out\n"


def test_an_included_makefile_that_is_committed_becomes_a_source(project: Project) -> None:
    """Nothing of the vain attempt is shown: make names the missing file before it says that there is no rule."""
    project.write("Makefile", INCLUDES + "%.mk: gen\n\tsh gen $* > $@\n")
    project.write("gen", "echo ONE = 1; echo TWO = 2\n")
    project.write("prog.c", "prog\n")
    project.check(project.build(), runs=1)
    for name in ("one.mk", "two.mk"):
        project.write(name, "ONE = 1\nTWO = written\n")
    project.write("Makefile", INCLUDES)
    built = project.rebuild()
    assert "No such file" not in built.out + built.err
    assert "***" not in built.out + built.err
    project.check(built, runs=1)


def test_an_included_makefile_whose_rule_fails_is_told_as_make_does(project: Project) -> None:
    project.write("Makefile", INCLUDES.replace("two.mk", "") + "one.mk: gen\n\tsh gen $@\n")
    project.write("gen", "echo ONE = 1 > $1\n")
    project.write("prog.c", "prog\n")
    project.build()
    project.write("gen", "exit 3\n")
    failed = project.rebuild()
    clean = project.clean_build(failed)
    assert failed.status == clean.status == 2
    ours = [line for line in failed.err.splitlines() if not line.startswith("hashmake:")]
    assert ours == clean.err.splitlines()
    assert any("one.mk: No such file or directory" in line for line in ours)


def test_a_rule_that_is_really_missing_is_told_as_make_does(project: Project) -> None:
    """A product that is gone, rule and all, and one of another name."""
    generated(project)
    project.build()
    project.write("Makefile", WRITTEN)
    project.lose("one.h")
    failed = project.rebuild()
    assert failed.status == 2
    assert "No rule to make target 'one.h', needed by 'prog'" in failed.err


SHIPPED = """\
all: prog side
prog: prog.c parser.c
	cat prog.c parser.c > prog
side: parser.y
	cp parser.y side
parser.c: parser.y
	no-such-generator parser.y
check: prog doc.1
	cat prog doc.1 > check.out
doc.1: parser.y
	no-such-generator --help
"""


def shipped(project: Project) -> None:
    """As in a tarball: what was generated is newer than what it was generated from."""
    project.write("Makefile", SHIPPED)
    for at, name in enumerate(("parser.y", "prog.c", "parser.c", "doc.1")):
        project.write(name, f"{name}\n")
        project.touch(name, date=1_500_000_000 + at)


def test_a_shipped_file_keeps_its_place_when_it_is_first_looked_at_later(project: Project) -> None:
    """doc.1 was taken for older than parser.y, which had been recorded before: its generator was asked for."""
    shipped(project)
    assert project.build().status == 0
    project.write("prog.c", "prog.c, edited\n")
    assert project.rebuild().status == 0
    if project.mode.equal_times:
        shipped(project)  # what was never looked at has no other order than that of its times
    assert project.attempt("check").status == 0
    project.touch("parser.y")
    assert "nothing changed" in project.attempt("check").err
    project.write("parser.y", "parser.y, edited\n")
    failed = project.attempt("check")
    assert failed.status == 2
    assert "no-such-generator" in failed.err


def test_what_git_tracks_and_nobody_has_changed_is_of_one_age(project: Project) -> None:
    """A clone writes its files in any order; a checkout that brings source and generated file brings both at once."""
    shipped(project)
    project.touch("parser.c", "doc.1", date=1_400_000_000)
    (project.tree / ".gitignore").write_text(".hashmake\nprog\nside\ncheck.out\n")
    git(project, "init", "-q", ".")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    assert project.attempt().status == 0
    assert project.attempt("check").status == 0
    for name in ("parser.y", "parser.c", "doc.1"):
        project.write(name, f"{name}, second\n")
    git(project, "commit", "-qam", "second")
    assert project.attempt().status == 0
    assert project.text("prog") == "prog.c\nparser.c, second\n"
    project.write("parser.y", "parser.y, third\n")
    assert project.attempt().status == 2


def test_what_a_pull_brings_is_of_one_moment_though_some_of_it_was_never_looked_at(project: Project) -> None:
    """doc.1 came with its source, parser.y; only parser.y had been looked at before, and doc.1 was taken for older."""
    shipped(project)
    (project.tree / ".gitignore").write_text(".hashmake\nprog\nside\ncheck.out\n")
    git(project, "init", "-q", ".")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    assert project.attempt().status == 0
    for name in ("parser.y", "parser.c", "doc.1"):
        (project.tree / name).write_text(f"{name}, second\n")
    git(project, "commit", "-qam", "second")
    assert project.attempt().status == 0
    assert project.attempt("check").status == 0
    project.write("parser.y", "parser.y, third\n")
    assert "no-such-generator" in project.attempt("check").err


def test_a_product_that_git_tracks_is_a_source_once_changed(project: Project) -> None:
    """Not healed, not copied."""
    project.write("Makefile", "all: out\nout: made in\n\tcat made in > out\nmade: in\n\tsed s/^/H/ in > made\n")
    project.write("in", "1\n")
    git(project, "init", "-q", ".")
    project.build()
    git(project, "add", "made", "in", "Makefile")
    project.damage("made", "mine\n")
    project.build()
    assert project.text("out") == "mine\n1\n"
    assert not (project.tree / ".hashmake/kept").exists()
    assert "nothing changed" in project.build().err


def git(project: Project, *words: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    subprocess.run(command, cwd=project.tree, env=project.environment, check=True, capture_output=True)
