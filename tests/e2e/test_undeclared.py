"""A makefile that rests on luck: a step needs what another one makes, and does not say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .project import Project

LUCKY = """\
all: gen.h x
gen.h: gen.in
\tsleep 0.3; cp gen.in gen.h
x: in
\tcat in gen.h > x
"""


@pytest.fixture
def lucky(project: Project) -> Project:
    """Built once, one step after the other."""
    project.write("Makefile", LUCKY)
    project.write("gen.in", "1\n")
    project.write("in", "1\n")
    project.check(project.build("-j1"))
    return project


def test_a_step_that_came_too_soon_runs_again_when_what_it_needs_is_there(lucky: Project) -> None:
    """Both are stale and begin at once: the header is not made yet, as in a clean tree. (A replay knows the order.)"""
    lucky.write("gen.in", "2\n")
    lucky.write("in", "2\n")
    built = lucky.attempt("-j2", HASHMAKE_REPLAY="off")
    assert built.status == 0
    assert lucky.text("x") == "2\n2\n"
    reasons = {step["command"]: step["reason"]["text"] for step in lucky.log()["ran"]}
    assert "gen.h was not made yet" in reasons["cat in gen.h > x"]
    assert lucky.log()["steps"]["failed"] == 0
    lucky.check_null(lucky.build("-j2"))


def test_a_step_whose_need_nobody_meets_fails(lucky: Project) -> None:
    """With one job there is nobody who could; with two the maker fails as well."""
    lucky.write("gen.in", "2\n")
    lucky.write("in", "2\n")
    lucky.edit("Makefile", "sleep 0.3; cp", "sleep 0.3; false; cp")
    lucky.edit("Makefile", "false; cp", "false && cp")
    built = lucky.attempt("-j2")
    assert built.status == 2
    assert lucky.log()["steps"]["failed"] == 2
    lucky.edit("Makefile", "false && cp", "cp")
    lucky.edit("Makefile", "all: gen.h x", "all: x gen.h")
    assert lucky.attempt("-j1").status == 2
    lucky.edit("Makefile", "all: x gen.h", "all: gen.h x")
    lucky.check(lucky.rebuild("-j1"))
