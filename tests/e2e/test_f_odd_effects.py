"""Scenarios 70 to 81: steps that do more, or something else, than their rule says."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .project import Project

COMPILE = "prog.o: prog.c gen.h\n\tcc -c -o $@ prog.c\n"
OTHER_HOST = ("unshare", "--uts", "sh", "-c", '/bin/hostname elsewhere && exec "$@"', "sh")


def test_70_an_input_that_no_rule_names_is_an_input(project: Project) -> None:
    """The step reads it, so the step runs."""
    project.write("Makefile", "out: in\n\tcat in hidden > out\n")
    project.write("in", "1\n")
    project.write("hidden", "2\n")
    project.build()
    project.write("hidden", "3\n")
    project.check(project.rebuild(), runs=1)


def test_71_a_product_that_no_rule_names_is_a_product(project: Project) -> None:
    """Deleted, it comes back."""
    project.write("Makefile", "out: in\n\tcat in > side; cp in out\n")
    project.write("in", "1\n")
    project.build()
    project.check(project.rebuild(), runs=0)
    project.lose("side")
    project.check(project.rebuild(), runs=2)


def in_place(project: Project) -> None:
    compile_rule = "all: a.o stamp\na.o: a.c\n\tcc -g -c -o a.o a.c\n"
    project.write("Makefile", compile_rule + "stamp: a.o extra\n\tstrip -g a.o; cat extra >> a.o; touch stamp\n")
    project.write("a.c", "int a(void) { return 1; }\n")
    project.write("extra", "extra\n")


@pytest.mark.parametrize("lost", ["a.o", "stamp", "a.o stamp"])
def test_72_a_product_changed_in_place_later_comes_back_whole(project: Project, lost: str) -> None:
    """Compiled, stripped and appended to; whichever file is deleted, the bytes are a clean build's."""
    in_place(project)
    project.build("-j1")
    project.check(project.rebuild("-j1"), runs=0)
    project.lose(*lost.split())
    project.check(project.rebuild("-j1"), runs=3)


def test_73_a_reverted_input_of_an_in_place_step_gives_the_first_result(project: Project) -> None:
    """Edited and reverted, before and after the change in place."""
    in_place(project)
    project.build("-j1")
    for path, old, new in (
        ("a.c", "1", "2"),
        ("a.c", "2", "1"),
        ("extra", "extra", "more"),
        ("extra", "more", "extra"),
    ):
        project.edit(path, old, new)
        project.check(project.rebuild("-j1"), runs=3)


def test_74_a_step_that_appends_starts_from_nothing(project: Project) -> None:
    """>> finds its product absent each time, as in a clean tree."""
    project.write("Makefile", "out: in\n\tcat in >> out\n")
    project.write("in", "1\n")
    project.build()
    project.write("in", "2\n")
    project.check(project.rebuild(), runs=1)


def test_75_two_writers_of_one_file_end_as_in_order(project: Project) -> None:
    """Whichever of the two runs again, the last word is that of the later step."""
    project.write("Makefile", "all: second\nfirst: x\n\tcp x shared; touch first\n")
    project.write("Makefile", project.text("Makefile") + "second: y first\n\tcp y shared; touch second\n")
    project.write("x", "x\n")
    project.write("y", "y\n")
    project.build("-j1")
    project.check(project.rebuild("-j1"), runs=0)
    project.write("x", "X\n")
    project.check(project.rebuild("-j1"), runs=2)
    project.write("y", "Y\n")
    project.check(project.rebuild("-j1"), runs=2)


def test_76_a_counter_starts_as_in_a_clean_tree(project: Project) -> None:
    """A step that reads its own product (.version) finds it absent each time it runs."""
    project.write(
        "Makefile", "out: in\n\tv=$$(cat .version 2>&1) || v=0; echo $$((v + 1)) > .version; cat .version in > out\n"
    )
    project.write("in", "1\n")
    project.build()
    project.write("in", "2\n")
    project.check(project.rebuild(), runs=2)


def test_77_a_forced_step_with_an_equal_result_stops_there(project: Project) -> None:
    """FORCE and cmp || mv: nobody who includes the header is compiled."""
    rule = (
        "gen.h: FORCE\n\t@grep -v '^#' in > gen.new; cmp -s gen.new gen.h && rm gen.new || mv gen.new gen.h\nFORCE:\n"
    )
    project.write("Makefile", COMPILE + rule)
    project.write("in", "int x;\n")
    project.write("prog.c", '#include "gen.h"\n')
    project.build()
    project.write("in", "# said\nint x;\n")
    result = project.rebuild()
    assert result.count("cc") == 0
    project.check(result, runs=1)
    project.write("in", "int y;\n")
    project.check(project.rebuild(), runs=2)


def test_78_a_generated_header_that_stays_equal_stops_there(project: Project) -> None:
    """The generator runs, the compile does not."""
    project.write("Makefile", COMPILE + "gen.h: in\n\tgrep -v '^#' in > gen.h\n")
    project.write("in", "int x;\n")
    project.write("prog.c", '#include "gen.h"\n')
    project.build()
    project.write("in", "# said\nint x;\n")
    project.check(project.rebuild(), runs=1)


def test_79_a_skipped_step_is_silent(project: Project) -> None:
    """Neither its command nor its warning is seen again until it runs again."""
    project.write("Makefile", "all: out other\nout: in\n\tcp in out; echo careful >&2\nother: more\n\tcp more other\n")
    project.write("in", "1\n")
    project.write("more", "1\n")
    assert "careful" in project.build().err
    project.write("more", "2\n")
    second = project.rebuild()
    assert "careful" not in second.out + second.err
    assert "cp in out" not in second.out
    project.check(second, runs=1)
    project.write("in", "2\n")
    assert "careful" in project.rebuild().err


def test_80_the_clock_and_chance_are_no_inputs(project: Project) -> None:
    """As for make: the step is not run for ever."""
    recipe = "date +%s%N > out; echo $$$$ >> out; head -c 8 /dev/urandom | od >> out; cat in >> out"
    project.write("Makefile", f"out: in\n\t{recipe}\n")
    project.write("in", "1\n")
    project.build()
    second = project.rebuild()
    assert not second.runs
    project.check_null(second)
    project.write("in", "2\n")
    assert project.rebuild().count("cat") == 1
    assert project.text("out").endswith("2\n")


@pytest.mark.parametrize("question", ["hostname > out", "uname -n | cat > out", "cat /proc/sys/kernel/hostname > out"])
def test_80_the_host_name_is_an_input_where_it_is_asked_for(project: Project, question: str) -> None:
    """Another name, and the step runs."""
    if subprocess.run([*OTHER_HOST, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not change the host name of a namespace")
    project.write("Makefile", f"out: in\n\t{question}\n")
    project.write("in", "1\n")
    project.build()
    project.prefix = OTHER_HOST
    project.check(project.rebuild(), runs=1)
    assert project.text("out") == "elsewhere\n"


PLUMBING = {
    "pipe": "cat in | tr a b | sort > out",
    "here-document": "cat - in <<< first > out",
    "standard-input": "sort < in > out",
    "substitution": "sort <(cat in) > out",
    "command": 'v="$$(cat in)"; echo "$$v" > out',
    "read": 'read v < in; echo "$$v" | cat > out',
    "fifo": "mkfifo f; cat in > f & cat f > out; wait; rm f",
}


@pytest.mark.parametrize("kind", PLUMBING)
def test_81_what_comes_through_a_pipe_is_followed(project: Project, kind: str) -> None:
    """The file behind the pipe, the here-document or the substitution is an input."""
    project.write("Makefile", f"SHELL = /bin/bash\nout:\n\t{PLUMBING[kind]}\n")
    project.write("in", "a\n")
    project.build()
    project.write("in", "c\n")
    project.check(project.rebuild(), runs=3)
