"""A zoo of programs: every path that strace sees them use is in the trace, or the program is named as not followed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import harness, watching

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPTS = Path(__file__).with_name("zoo.txt")
HELLO = 'printf "#include <stdio.h>\\nint main(void){puts(\\"hello\\");return 0;}\\n" >a.c; '
FILES = "mkdir d; echo one >d/one; ln -s one d/link; ln d/one d/hard; "


def zoo() -> dict[str, str]:
    """Read the scripts, by name."""
    scripts = {}
    for part in SCRIPTS.read_text().split("\n== ")[1:]:
        name, _, script = part.partition("\n")
        scripts[name] = script.replace("$HELLO", HELLO).replace("$FILES", FILES)
    return scripts


ZOO = zoo()
CONFIGURE = """\
AC_INIT([zoo], [1])
AC_PROG_CC
AC_PROG_INSTALL
AC_CHECK_HEADERS([stdint.h nothing_of_this_name.h])
AC_CHECK_FUNCS([strlcpy memcpy])
AC_CHECK_LIB([m], [cos])
AC_CONFIG_FILES([out])
AC_OUTPUT
"""
NEEDS = "perl python3 git tar cpio find rsync sed gawk mawk m4 gcc g++ clang ld.lld busybox autoconf strace"


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own programs, not those of some version manager; all of them are there."""
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    missing = [name for name in NEEDS.split() if not shutil.which(name)]
    assert not missing, f"install them (tests/run does): {missing}"


def unrecorded(run: harness.RunDirectory, calls: list[watching.Call], trace: harness.Trace) -> list[watching.Call]:
    """Give the calls that the trace lacks, those of programs that it names as not followed left out."""
    named = {text.partition(":")[2] for text in trace.texts("!")}
    seen = [call for call in calls if call.program not in named and os.path.realpath(call.program) not in named]
    own = {"RUN": str(run.folder), "LIBRARY": str(run.library), "LAUNCHER": str(run.library.with_name("hmstep"))}
    return sorted(watching.unrecorded(seen, watching.Traces({1: trace}), own))


def check(run: harness.RunDirectory, work: Path, script: str, **more: str) -> harness.Trace:
    """Run a script: nothing is lost, and strace saw no path that the trace does not have."""
    calls = watching.watch(run, work, "sh", "-ec", script, **more)
    trace = run.trace()
    assert not trace.lost
    assert trace.expected + 1 == trace.hello
    assert len(calls) > 50
    assert not [call[1:] for call in unrecorded(run, calls, trace)]
    return trace


@pytest.mark.parametrize("name", ZOO)
def test_every_path_that_strace_saw_is_in_the_trace(name: str, run: harness.RunDirectory, work: Path) -> None:
    """And every one of these programs is followed from its start to its end."""
    assert not check(run, work, ZOO[name]).texts("!")


def test_a_configure_script_is_seen_whole(run: harness.RunDirectory, work: Path) -> None:
    """Made by autoconf, with compilers, greps and temporary files by the hundred."""
    (work / "configure.ac").write_text(CONFIGURE)
    (work / "install-sh").write_text("")
    (work / "out.in").write_text("@CC@\n")
    assert not check(run, work, "autoconf; ./configure").texts("!")


def test_languages_are_read_where_the_page_says(run: harness.RunDirectory, work: Path) -> None:
    """A locale that is not C: its files belong to the machine."""
    check(
        run, work, "! cat gone; ls -l; sort /etc/hostname; date", LC_ALL="C.UTF-8", LANGUAGE="de:fr", TZ="Europe/Berlin"
    )


UNSEEN = {
    "a static program": (HELLO + "gcc -static a.c -o a; ./a; cat a.c", "static", "a"),
    "static busybox": (
        "cp /bin/busybox busybox; ./busybox ls; ./busybox sh -c 'cat busybox >c'; cat c >d",
        "static",
        "busybox",
    ),
    "a program of 32 bits": (HELLO + "gcc -m32 a.c -o a; ./a; cat a.c", "32bit", "a"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_a_program_that_cannot_be_followed_is_named(name: str, run: harness.RunDirectory, work: Path) -> None:
    """What it did is not in the trace, and the trace says so; what the others did is."""
    script, why, program = UNSEEN[name]
    assert check(run, work, script).texts("!") == [f"{why}:{work / program}"]


def test_a_missing_record_would_be_noticed(run: harness.RunDirectory, work: Path, program: Callable[..., Path]) -> None:
    """The comparison itself: without its records, nothing that a program did to its tree is accounted for."""
    calls = watching.watch(run, work, "sh", "-ec", "echo a >a; cat a; mv a b; cat gone || :; mkdir d; rm b")
    trace = run.trace()._replace(records=[])
    missing = {(call.name, os.path.basename(call.path)) for call in unrecorded(run, calls, trace)}
    names = {(re.sub(r"at2?$", "", name), path) for name, path in missing}
    assert {("open", "a"), ("rename", "a"), ("rename", "b"), ("open", "gone"), ("mkdir", "d"), ("unlink", "b")} <= names
