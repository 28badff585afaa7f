"""A file changes its role: what was generated is written by hand from now on, or the other way round."""

from __future__ import annotations

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


def test_a_rule_that_is_really_missing_is_told_as_make_does(project: Project) -> None:
    """A product that is gone, rule and all, and one of another name."""
    generated(project)
    project.build()
    project.write("Makefile", WRITTEN)
    project.lose("one.h")
    failed = project.rebuild()
    assert failed.status == 2
    assert "No rule to make target 'one.h', needed by 'prog'" in failed.err
