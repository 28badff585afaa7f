"""PATH counts by where the names that were searched along it lead, not by its value."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .project import Project

MAKEFILE = """\
all: x
\t$(MAKE) -C sub
x: in
\trev in | expand > x
"""
SUB = "y: ../in\n\trev ../in > y\n"


@pytest.fixture
def started(project: Project) -> Project:
    """A project in a directory and one below it, built."""
    project.write("Makefile", MAKEFILE)
    project.write("sub/Makefile", SUB)
    project.write("in", "abc\n")
    project.check(project.build())
    return project


def around(project: Project, *, first: str = "", last: str = "") -> str:
    """PATH with directories outside of the tree put before and behind it."""
    path = project.environment["PATH"]
    for name in (first, last):
        (project.root / name).mkdir(exist_ok=True)
    return ":".join(
        [*([str(project.root / first)] if first else []), path, *([str(project.root / last)] if last else [])]
    )


def ran(project: Project) -> list[str]:
    return [step["command"] for step in project.log()["ran"]]


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_directory_without_programs_in_path_runs_nothing(started: Project, place: str) -> None:
    """As a virtual environment has that is activated."""
    path = around(started, **{place: "extra"})
    started.check(started.build(PATH=path), runs=0)
    assert not ran(started)
    started.check_null(started.build(PATH=path))
    started.check_null(started.build())


def test_a_tool_that_shadows_another_one_runs_its_users(started: Project) -> None:
    """Also one that comes later into a directory that was in PATH before."""
    path = around(started, first="extra")
    for _ in range(2):
        started.build(PATH=path)
    started.edit("in", "abc", "abd")
    started.check(started.build(PATH=path))
    tool = started.root / "extra/rev"
    tool.write_text('#!/bin/sh\nexec head -n 9 "$@"\n')
    tool.chmod(0o755)
    shadowed = started.build(PATH=path)
    assert len(ran(started)) == 2
    started.check(shadowed)
    assert started.text("x") == "abd\n"
    assert started.text("sub/y") == "abd\n"
    started.check_null(started.build(PATH=path))
    started.check(started.build())
    assert len(ran(started)) in (0, 2)
    assert started.text("sub/y") == "dba\n"


def test_a_tool_that_comes_into_the_new_directory_after_an_edit_elsewhere_is_seen(started: Project) -> None:
    """The make below was current along the new PATH: that nothing was there is a fact about it."""
    path = around(started, first="extra")
    started.build(PATH=path)
    tool = started.root / "extra/rev"
    tool.write_text('#!/bin/sh\nexec head -n 9 "$@"\n')
    tool.chmod(0o755)
    started.write("unused", "")
    started.check(started.build(PATH=path))
    assert started.text("sub/y") == "abc\n"


@pytest.mark.parametrize(
    "recipe", ["echo $$PATH > x", "printenv PATH > x", "env | grep ^PATH= > x", "sh -c 'echo $$PATH' > x"]
)
def test_a_step_that_shows_path_depends_on_its_value(project: Project, recipe: str) -> None:
    project.write("Makefile", f"x: in\n\t{recipe}\n")
    project.write("in", "")
    project.build()
    project.check(project.build(PATH=around(project, last="extra")))
    assert "extra" in project.text("x")


def test_a_compiler_in_another_place_is_another_compiler(project: Project) -> None:
    """The recipe starts it without a shell."""
    project.write("Makefile", "a.o: a.c\n\tgcc -c a.c -o a.o\n")
    project.write("a.c", "int a;\n")
    project.check(project.build())
    path = around(project, first="extra", last="other")
    project.check(project.build(PATH=path), runs=0)
    tool = project.root / "extra/gcc"
    tool.write_text('#!/bin/sh\nexec /usr/bin/gcc -DSHADOW -g "$@"\n')
    tool.chmod(0o755)
    project.check(project.build(PATH=path))
    assert ran(project)


def test_directories_that_make_itself_puts_into_path(project: Project) -> None:
    """A product is the tool; the rest of PATH changes."""
    project.write(
        "Makefile",
        "export PATH := $(CURDIR)/tools:$(PATH)\nx: in tools/up\n\tup < in > x\n"
        "tools/up: up.sh\n\tinstall -D -m 755 up.sh $@\n",
    )
    project.write("up.sh", "#!/bin/sh\nrev\n")
    project.write("in", "abc\n")
    project.check(project.build())
    path = around(project, first="extra")
    project.check(project.build(PATH=path), runs=0)
    project.edit("up.sh", "rev", "head -n 1")
    project.check(project.build(PATH=path))
    assert project.text("x") == "abc\n"
    up = project.root / "extra/up"
    up.write_text("#!/bin/sh\necho wrong\n")
    up.chmod(0o755)
    project.check(project.build(PATH=path), runs=0)
    assert os.access(up, os.X_OK)


@pytest.mark.parametrize("shows", [False, True])
def test_a_script_that_calls_make_searches_along_path(project: Project, *, shows: bool) -> None:
    """All that happens in it is one step: it depends on the value of PATH only if somebody in it shows that."""
    project.write("Makefile", "x: in pack.sh\n\tsh pack.sh\n")
    project.write("pack.sh", "set -e\nmake -f other.mk y\nexpand in y > x\n")
    project.write("other.mk", "y: in\n\trev in > y\n" + "\techo '$(PATH)' >> y\n" * shows)
    project.write("in", "abc\n")
    project.check(project.build())
    path = around(project, first="extra", last="other")
    project.check(project.build(PATH=path))
    assert bool(ran(project)) == shows
    assert ("extra" in project.text("x")) == shows
    project.check_null(project.build(PATH=path))
    tool = project.root / "extra/expand"
    tool.write_text('#!/bin/sh\nexec head -n 1 "$@"\n')
    tool.chmod(0o755)
    project.check(project.build(PATH=path))
    assert project.text("x") != "abc\ncba\n"


def test_tool_chains_only_search_along_path(project: Project) -> None:
    """Drivers, compilers proper, assemblers, linkers, and who writes parsers: none of them prints it."""
    project.write(
        "Makefile",
        "all: a.o b.o p l\n"
        "a.o: a.c\n\tset -e; gcc -Wp,-MMD,.d -c -o a.o a.c; ld -r -o t.o a.o; objcopy a.o u.o; nm a.o > n\n"
        "b.o: a.s\n\tgcc -c -o b.o a.s; strip b.o\n"
        "p: m.c\n\tgcc -o p m.c\n"
        "l: in\n\tbison --version > l; flex --version >> l; git --version >> l; echo x | m4 >> l\n"
        "\tawk '{ print }' in >> l\n",
    )
    for name, text in (
        ("a.c", "int a;\n"),
        ("a.s", "nop\n"),
        ("m.c", "int main(void) { return 0; }\n"),
        ("in", "in\n"),
    ):
        project.write(name, text)
    project.check(project.build())
    project.check(project.build(PATH=around(project, first="extra")))
    assert not ran(project)
    project.check_null(project.build(PATH=around(project, first="extra"), CI_JOB_ID="1"))
