"""Steps that another machine runs: buildbox-casd with bubblewrap, which has nothing but what it is sent."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from .machines import Casd, Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there")

FILES = {
    "Makefile": """\
all: prog listed
prog: main.o part.o ; cc -o $@ $^
%.o: %.c ; @echo CC $@; cc -O1 -g -I include -c -o $@ $<
listed: include/part.h ; @ls include > $@; cat $< >> $@
clean: ; rm -f prog listed *.o
""",
    "include/part.h": "#define PART 1\nint part(void);\n",
    "main.c": '#include "part.h"\nint main(void) { return part() - PART; }\n',
    "part.c": '#include "part.h"\nint part(void) { return PART; }\n',
}


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Casd]:
    """A server that runs steps."""
    server = Casd(tmp_path, runs=True)
    yield server
    server.kill()


@pytest.fixture
def machine(tmp_path: Path, farm: Casd) -> Machine:
    """A tree that was built once."""
    found = Machine(tmp_path, "one", farm.endpoint, "read", execute="on")
    found.take(FILES)
    found.build()
    assert found.log()["remote"]["executed"] == 0  # nobody knows yet what its steps read
    return found


def as_clean(machine: Machine) -> None:
    """What lies there is what a clean build leaves, and the next build is null."""
    built = dict(machine.products())
    machine.build()
    assert "nothing changed" in machine.text
    machine.stock("clean")
    machine.stock()
    assert dict(machine.products()) == built


def test_what_is_known_of_a_step_goes_there(machine: Machine) -> None:
    """The objects hold the name of their directory, and are the same; the one that lists a directory stays here."""
    machine.write("include/part.h", "#define PART 2\nint part(void);\n")
    machine.build("-j8")
    assert machine.ran == 4
    assert machine.log()["remote"]["executed"] == 2
    assert "CC main.o" in machine.text
    as_clean(machine)


def test_a_step_that_turns_out_to_read_more_runs_here(machine: Machine) -> None:
    """And is known the next time."""
    machine.write("include/more.h", "#define MORE 1\n")
    machine.write("part.c", '#include "part.h"\n#include "more.h"\nint part(void) { return PART + MORE - 1; }\n')
    machine.build()
    assert machine.log()["remote"]["executed"] == 0
    machine.write("include/more.h", "#define MORE 2 - 1\n")
    machine.build()
    assert machine.log()["remote"]["executed"] == 1
    as_clean(machine)


def test_what_is_looked_for_there_in_vain_must_be_missing_here(machine: Machine) -> None:
    """The compiler would not miss it: it takes the other branch, and ends well."""
    machine.write("include/maybe.h", "#define MAYBE 1\n")
    text = '#include "part.h"\n#if __has_include("maybe.h")\nint with;\n#endif\nint part(void) { return PART; }\n'
    machine.write("part.c", text)
    machine.build()
    assert machine.log()["remote"]["executed"] == 0
    as_clean(machine)


def test_an_error_is_told_here(machine: Machine) -> None:
    machine.write("part.c", "int part(void) { return oops; }\n")
    machine.build(status=2)
    assert machine.text.count("oops") > 0
    assert "part.o] Error 1" in machine.text


def test_a_warning_is_seen(machine: Machine) -> None:
    machine.write("part.c", '#include "part.h"\n#warning careful\nint part(void) { return PART; }\n')
    machine.build()
    assert machine.log()["remote"]["executed"] == 1
    assert "#warning careful" in machine.text


def test_a_server_that_is_gone_costs_nothing_but_a_line(machine: Machine, farm: Casd) -> None:
    farm.kill()
    machine.write("include/part.h", "#define PART 2\nint part(void);\n")
    machine.build()
    assert machine.log()["remote"]["executed"] == 0
    assert machine.text.count("goes on without the shared cache") == 1
    as_clean(machine)


def test_a_server_that_runs_nothing_is_a_cache(tmp_path: Path) -> None:
    """One line says so."""
    server = Casd(tmp_path)
    try:
        machine = Machine(tmp_path, "one", server.endpoint, "read", execute="on")
        machine.take(FILES)
        machine.build()
        machine.write("include/part.h", "#define PART 2\nint part(void);\n")
        machine.build()
        assert machine.log()["remote"]["executed"] == 0
        assert machine.text.count("it runs no steps; they run here") == 1
    finally:
        server.kill()
