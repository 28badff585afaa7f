"""Directories as products: made, filled and moved to their place, line by line (cargo, Buildroot, documentation)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .project import Project

# The same in one recipe of many lines: what fills the directory, and what moves it, are steps of their own.
FILLED = """\
all: out/a list
out/a: a b c
	rm -rf out new
	mkdir new
	cp a new/a
	cp b new/b
	mkdir new/sub
	cp c new/sub/c
	mv new out
list: out/a
	ls -R out > list; cat out/sub/c >> list
"""


def filled(project: Project) -> None:
    project.write("Makefile", FILLED)
    for name in "abc":
        project.write(name, "1\n")
    project.check(project.build(), runs=9)


def test_a_directory_that_is_filled_and_moved_follows_each_edit(project: Project) -> None:
    """A stale step found no directory; the move then took along only what had just been made."""
    filled(project)
    for name, text in (("a", "2\n"), ("c", "2\n"), ("b", "2\n"), ("a", "1\n")):
        project.write(name, text)
        project.check(project.rebuild(), runs=8)


def test_an_edit_elsewhere_runs_no_step_of_a_moved_directory(project: Project) -> None:
    """What came with the directory had counted as there before, and the place where it went as taken."""
    filled(project)
    project.edit("Makefile", "all: out/a list", "# nothing new\nall: out/a list")
    project.check(project.rebuild(), runs=0)
    project.write("b", "2\n")
    project.check(project.rebuild(), runs=8)
    project.edit("Makefile", "# nothing new", "# nothing at all")
    project.check(project.rebuild(), runs=0)


def test_a_file_more_in_a_moved_directory_is_moved_too(project: Project) -> None:
    """Which names it held is an input of the move."""
    filled(project)
    project.edit("Makefile", "\tcp b new/b\n", "\tcp b new/b\n\tcp b new/more\n")
    project.check(project.rebuild(), runs=9)
    project.edit("Makefile", "\tcp b new/more\n", "")
    project.check(project.rebuild(), runs=9, extra=("out/more",))  # an orphan is named, not removed
    assert "more" not in project.text("list")


def test_the_shortest_form_replaces_what_an_earlier_build_left(project: Project) -> None:
    """The old directory lay there, hidden, and the new one was moved into it."""
    lines = ("rm -rf out new", "mkdir new", "cp in new/f", "mv new out")
    project.write("Makefile", "out/f: in\n" + "".join(f"\t{line}\n" for line in lines))
    project.write("in", "1\n")
    project.check(project.build(), runs=4)
    project.write("in", "2\n")
    project.check(project.rebuild(), runs=4)


def test_files_that_count_what_is_done_are_made_again_as_far_as_they_are_looked_at(project: Project) -> None:
    """CMake: each step leaves a file in a directory, lists that to say how far it is, and the last removes it."""
    project.write(
        "Makefile",
        "all: start a b c\n\trm -rf P\n"
        "start:\n\t@mkdir -p P && echo 3 > P/count.txt\n"
        "a b c: start\n\t@touch P/$@; echo `ls P | wc -l` of `cat P/count.txt`\n\tcp $@.in $@\n"
        ".PHONY: all start\na: a.in\nb: b.in\nc: c.in\n",
    )
    project.environment["HASHMAKE_STORE"] = "off"
    for name in "abc":
        project.write(f"{name}.in", "1\n")
    project.check(project.build())
    project.check_null(project.build())
    for name in "bacb":
        project.write(f"{name}.in", f"{name}\n")
        project.check(project.rebuild())
        commands = [step["command"] for step in project.log()["ran"]]
        assert f"cp {name}.in {name}" in commands
        assert not [other for other in "abc" if other != name and f"cp {other}.in {other}" in commands]
        project.write(f"{name}.in", "1\n")
        project.check(project.rebuild())
        assert "Forced" not in {step["reason"]["kind"] for step in project.log()["ran"]}
