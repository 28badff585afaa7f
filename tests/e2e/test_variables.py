"""A variable of the environment counts for those who can name it; a job's dozen new ones cost nothing."""

from __future__ import annotations

import dataclasses
import subprocess
from typing import TYPE_CHECKING

import pytest

from . import tool

if TYPE_CHECKING:
    from .project import Project


@dataclasses.dataclass(frozen=True)
class Use:
    """A makefile whose product depends on CI_X, other files, and whether it can depend on any variable at all."""

    makefile: str
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    any: bool = False


USES = {
    "reference": Use("x: in\n\techo $(CI_X) > x\n"),
    "computed": Use("n = X\nx: in\n\techo $(CI_$(n)) > x\n"),
    "computed-whole": Use("n = CI_X\nx: in\n\techo $($(n)) > x\n", any=True),
    "foreach": Use("x: in\n\techo $(foreach v,CI_X,$($(v))) > x\n", any=True),
    "value": Use("x: in\n\techo '$(value CI_X)' > x\n"),
    "ifdef": Use("ifeq ($(CI_X),2)\na = two\nelse\na = other\nendif\nx: in\n\techo $(a) > x\n"),
    "default": Use("CI_X ?= 0\nx: in\n\techo $(CI_X) > x\n"),
    "eval": Use("$(eval a := $$(CI_X))\nx: in\n\techo $(a) > x\n"),
    "template": Use("define t\na := $$(CI_$(1))\nendef\n$(eval $(call t,X))\nx: in\n\techo $(a) > x\n"),
    "eval-of-a-command": Use(
        "$(eval $(shell cat conf))\nx: in\n\techo $(a) > x\n", {"conf": "a := $(CI_X)\n"}, any=True
    ),
    "output-expanded": Use("a != cat conf\nx: in\n\techo $(a) > x\n", {"conf": "$(CI_X)\n"}, any=True),
    "included": Use("include conf.mk\nx: in\n\techo $(a) > x\n", {"conf.mk": "a = $(CI_X)\n"}),
    "generated": Use(
        "x: in\n\techo $(a) > x\ninclude conf.mk\nconf.mk: conf.in\n\tcp conf.in conf.mk\n",
        {"conf.in": "a = $(CI_X)\n"},
    ),
    "recipe": Use("x: in\n\techo $$CI_X > x\n"),
    "script": Use("x: in\n\tsh gen.sh > x\n", {"gen.sh": "cat in; echo $CI_X\n"}),
    "command": Use("a := $(shell echo $$CI_X)\nx: in\n\techo $(a) > x\n"),
    "below": Use("x: in\n\t$(MAKE) -f below.mk\n", {"below.mk": "x: in\n\techo $(CI_X) > x\n"}),
    "script-calls-make": Use(
        "x: in\n\tsh call.sh\n", {"call.sh": "make -f below.mk\n", "below.mk": "x: ; echo $(CI_X) > x\n"}
    ),
    "make-from-stdin": Use("x: in\n\techo 'x: ; echo $$(CI_X) > x' | $(MAKE) -f -\n", any=True),
    "make-argument": Use(
        "x: in\n\tsh call.sh\n",
        {"call.sh": "make -f below.mk A='$(CI_X)'\n", "below.mk": "x: ; echo $(A) > x\n"},
        any=True,
    ),
    "indirect-in-bash": Use("SHELL = /bin/bash\nx: in\n\tn=CI_X; echo $${!n} > x\n", any=True),
    "eval-in-shell": Use("x: in\n\tn=CI_X; eval echo \\$$$$n > x\n", any=True),
    "env": Use("x: in\n\tenv | grep ^CI_X > x\n", any=True),
    "export": Use("x: in\n\texport | grep CI_X= > x\n", any=True),
    "awk": Use("x: in\n\tawk 'BEGIN { print ENVIRON[\"CI_X\"] }' > x\n", any=True),
    "perl": Use("x: in\n\tperl -e 'print $$ENV{CI_X}' > x\n", any=True),
}


@pytest.fixture(params=USES)
def use(request: pytest.FixtureRequest, project: Project) -> Use:
    """One of them, written into the project."""
    found = USES[request.param]
    project.write("Makefile", found.makefile)
    project.write("in", "in\n")
    for name, text in found.files.items():
        project.write(name, text)
    return found


def test_a_variable_that_is_named_counts_and_no_other(use: Use, project: Project) -> None:
    """Changed, it is seen; others cost not even an evaluation of the makefiles."""
    project.check(project.build(CI_X="1"))
    if not use.any:
        project.check_null(project.build(CI_X="1", CI_JOB_ID="17", TERM_PROGRAM="x"))
    project.check(project.build(CI_X="2", CI_JOB_ID="18"))
    assert "2" in project.text("x") or "two" in project.text("x")
    project.check_null(project.build(CI_X="2", CI_JOB_ID="18"))
    if not use.any:
        project.check_null(project.build(CI_X="2"))
    project.check(project.build(CI_X="1"))


def test_a_variable_named_by_the_value_of_another_counts(project: Project) -> None:
    project.write("Makefile", "x: in\n\techo $(A) > x\n")
    project.write("in", "in\n")
    project.check(project.build(A="$(CI_X)", CI_X="1"))
    project.check_null(project.build(A="$(CI_X)", CI_X="1", CI_Y="2"))
    project.check(project.build(A="$(CI_X)", CI_X="2"))
    assert project.text("x") == "2\n"


def test_an_edit_that_names_a_variable_is_seen_with_it(project: Project) -> None:
    """The names that counted for the last build are not those that count for this one."""
    project.write("Makefile", "x: in\n\techo a > x\n")
    project.write("in", "in\n")
    project.build(CI_X="1")
    project.edit("Makefile", "echo a", "echo $(CI_X)")
    project.check(project.rebuild(CI_X="1"))
    project.check(project.build(CI_X="2"))
    assert project.text("x") == "2\n"
    project.check_null(project.build(CI_X="2", CI_Y="1"))


def test_a_make_below_is_not_evaluated_for_a_variable_that_it_cannot_name(project: Project) -> None:
    """The one above it can."""
    project.write("Makefile", "x: in\n\techo $(CI_X) > x\n\t$(MAKE) -C sub\n")
    project.write("sub/Makefile", "y: ../in\n\tcat ../in > y\n")
    project.write("in", "in\n")
    project.build(CI_X="1")
    built = project.build(CI_X="2")
    project.check(built)
    assert "Entering" not in built.out


def test_another_fakeroot_is_no_other_environment(project: Project) -> None:
    """Its key is that of a process, another one each time."""
    project.write("Makefile", "x: in\n\tcp in x; chown 7:8 x; stat -c %u x > owner\n")
    project.write("in", "in\n")
    command = ["fakeroot", *tool.build_command()]
    for expected in ("1 steps ran", "nothing changed"):
        done = subprocess.run(
            command, cwd=project.tree, env=project.environment, capture_output=True, text=True, check=True
        )
        assert expected in done.stderr
        assert project.text("owner") == "7\n"
