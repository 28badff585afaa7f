"""Scenarios 98 to 100 with GNU make 4.4.1: its jobserver is a fifo, and its calls are others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from . import newer, tool

if TYPE_CHECKING:
    from .project import Project

WIDE = 8


@pytest.fixture
def newer_make(project: Project) -> None:
    """The first make on PATH is the newer one."""
    os.symlink(newer.make(), project.root / "bin" / "make")


def recursive(project: Project) -> None:
    """Directories that are built beside each other by makes below, each of several files."""
    names = " ".join(f"d{i}" for i in range(WIDE))
    rule = f"all: {names}\n\tcat d*/out >all\n\techo $(MAKE_VERSION) >version\n{names}:\n\t+$(MAKE) -C $@\n"
    project.write("Makefile", f"{rule}.PHONY: all {names}\n")
    for i in range(WIDE):
        project.write(f"d{i}/Makefile", "out: a.o b.o\n\tcat a.o b.o >out\n%.o: %.in\n\tsort $< >$@\n")
        project.write(f"d{i}/a.in", f"a{i}\n")
        project.write(f"d{i}/b.in", f"b{i}\n")


def test_98_an_edit_below_runs_its_own_chain_with_a_fifo_jobserver(project: Project, newer_make: None) -> None:
    """Recursive and parallel: nothing is lost and nothing runs twice."""
    recursive(project)
    project.build("-j4")
    assert (project.tree / "version").read_text() == "4.4.1\n"
    project.write("d3/a.in", "edited\n")
    project.check(project.rebuild("-j4"), runs=3)


def test_98_nothing_runs_when_nothing_changed_with_the_newer_make(project: Project, newer_make: None) -> None:
    """Also with another number of jobs, and with the older kind of jobserver."""
    recursive(project)
    project.build("-j4")
    project.check(project.rebuild("-j2"), runs=0)
    project.check(project.rebuild("-j4", "--jobserver-style=pipe"), runs=0)


def test_98_another_make_is_another_tool(project: Project, newer_make: None) -> None:
    """Going back to the system's make evaluates the makefiles again, and what they make of them counts."""
    if tool.is_stock_make():
        pytest.skip("stock make does not know that it was replaced")
    recursive(project)
    project.build("-j4")
    (project.root / "bin" / "make").unlink()
    project.rebuild("-j4")
    assert (project.tree / "version").read_text() != "4.4.1\n"
