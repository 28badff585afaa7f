"""Environment, host and terminal; transparency when there is nothing to record for; many writers at once."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from . import harness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_questions_are_recorded_once(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Names of variables, the host, the user, the time zone."""
    run.run(program("asks"), cwd=work, LC_ALL="C")
    trace = run.trace()
    assert trace.texts("g").count("ASKED") == 1
    assert {"ASKED_TOO", "LC_ALL", "TZ"} <= set(trace.texts("g"))
    assert "LANG" not in trace.texts("g")
    assert trace.texts("v") == ["uname", "user"]
    assert not trace.texts("G")


@pytest.mark.parametrize(
    ("command", "asks"),
    [
        (["dash", "-c", ":"], ["?user"]),
        (["cp", "a", "b"], []),
        (["mv", "a", "b"], []),
        (["env", "SHELL=/bin/sh", "bash", "-c", ":"], ["?uname", "?user"]),
        (["env", "-u", "SHELL", "bash", "-c", ":"], ["?account", "?uname", "?user"]),
        (["gawk", "BEGIN { print 1 }"], []),
        (["gawk", 'BEGIN { print PROCINFO["uid"] }'], ["user"]),
        (["gawk", "-f", "asks"], ["user"]),
        (["gawk", "-f", "plain"], []),
        (["gawk", 'BEGIN { x = "PROC" "INFO"; print SYMTAB[x]["uid"] }'], ["user"]),
        (["gawk", "-e", "BEGIN { print 1 }"], ["user"]),
        (["tar", "cf", "b", "a"], ["user"]),
        (["perl", "-e", "1"], ["user"]),
    ],
)
def test_who_builds_is_no_input_of_what_only_has_to_start(
    run: harness.RunDirectory, work: Path, command: list[str], asks: list[str]
) -> None:
    """Else no step would be the same for another user, or on another machine."""
    (work / "a").touch()
    (work / "asks").write_text('BEGIN { print PROCINFO["uid"] }\n')
    (work / "plain").write_text("BEGIN { print ENVIRON[1] }\n")
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    run.run(*command, cwd=work)
    assert sorted(set(run.trace().texts("v"))) == asks


def test_programs_that_take_the_environment_are_named(run: harness.RunDirectory, work: Path) -> None:
    """env and printenv only when they print all of it."""
    for step, command in enumerate((["env"], ["env", "true"], ["printenv", "HOME"], ["perl", "-e", "1"]), 2):
        run.make_trace(step)
        run.run(*command, cwd=work, HASHMAKE_STEP=str(step))
    assert [bool(run.trace(step).texts("G")) for step in (2, 3, 4, 5)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("command", "asks"),
    [
        (["perl", "-MCwd", "-e", "print getcwd()"], True),
        (["/usr/bin/env", "-C", "/", "realpath", "tmp"], True),
        (["/bin/pwd", "-P"], True),
        (["cat", "/dev/null"], False),
        (["realpath", "/tmp"], False),
        (["sh", "-c", "cd .; echo x | sort"], False),
    ],
)
def test_who_asks_where_it_is_is_named(run: harness.RunDirectory, work: Path, command: list[str], asks: bool) -> None:
    """The full path of a tree is no content, and may find its way into one in other forms."""
    run.run(*command, cwd=work, PWD=str(work))
    assert bool(run.trace().texts("p")) is asks


@pytest.mark.parametrize("awk", ["gawk", "mawk"])
@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["{ print $1 }", "f"], False),
        (["-F", ":", "-v", "a=b", "-vc=d", "-F,", "--", "{ print a }", "f"], False),
        (["BEGIN { print ENVIRON[1] }"], True),
        (["-f", "asks", "f"], True),
        (["-v", "a=b", "-f", "asks", "f"], True),
        (["-fasks", "f"], True),
        (["-f", "plain", "f"], False),
        (["-fplain", "-f", "long", "f"], False),
        (["-fplain", "-f", "across", "f"], True),
        (["-f", "missing", "f"], True),
        (["BEGIN { SYMTAB[1] }"], True),
        (['@include "asks"'], True),
        (["--version"], True),
        ([], True),
    ],
)
def test_awk_takes_the_environment_where_its_program_can_ask(
    run: harness.RunDirectory, work: Path, awk: str, words: list[str], whole: bool
) -> None:
    """Its text has ENVIRON, or is not all there."""
    if not shutil.which(awk):
        pytest.skip(f"{awk} is not installed")
    (work / "f").write_text("a:b\n")
    (work / "asks").write_text("{ print ENVIRON[$1] }\n")
    (work / "plain").write_text("# by a@b.c\n{ print $1 }\n")
    (work / "long").write_text("# a comment\n" * 2000)
    for at in range(4090, 4100):
        (work / "across").write_text("#" * at + "\n{ print ENVIRON[$1] }\n")
    run.run("sh", "-c", '"$@" < f; :', "sh", awk, *words, cwd=work)
    assert bool(run.trace().texts("G")) == whole


def test_shells_tell_their_scripts(run: harness.RunDirectory, work: Path) -> None:
    """The text of a script names the variables that the shell takes from the environment."""
    (work / "script").write_text("echo $ASKED\n")
    run.run("sh", "script", cwd=work)
    assert run.trace().texts("S") == [str(work / "script")]


def test_without_a_run_directory_nothing_changes(
    program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """Missing, unusable, of another version: the program runs as without us."""
    (work / "input").write_text("text\n")
    starts = program("starts")
    for more in ({"HASHMAKE_RUN": "/nonexistent"}, {"HASHMAKE_STEP": "x"}, {"HASHMAKE_STEP": ""}, {"HASHMAKE_RUN": ""}):
        assert run.run(starts, "execvp", cwd=work, **more) == "text\n"
        assert run.run(starts, "spawnp", cwd=work, **more) == "text\n"
    trace = run.folder / "t" / "1"
    data = bytearray(trace.read_bytes())
    data[4] = 99
    trace.write_bytes(data)
    assert run.run(starts, "execvp", cwd=work) == "text\n"
    assert trace.read_bytes() == bytes(data)


def test_a_trace_grows_under_many_writers(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Threads, a signal handler and a forked child append at once; nothing is lost and nothing is torn."""
    run.run(program("crowd"), cwd=work)
    trace = run.trace()
    assert not trace.lost
    absent = trace.texts("n")
    tail = "with-a-name-of-some-length-to-fill-the-trace"
    wanted = {f"{work}/thread-{who}-{i}-{tail}" for who in range(4) for i in range(1000)}
    wanted |= {f"{work}/child-0-{i}-{tail}" for i in range(1000)} | {f"{work}/signal-{i}" for i in range(4)}
    assert {path for path in absent if path.startswith(f"{work}/")} == wanted
    assert len(absent) < len(wanted) * 1.2
    assert (run.folder / "t" / "1").stat().st_size > harness.TRACE_FIRST


def test_a_full_disk_is_a_lost_record(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """A trace that cannot grow says so, and the program does not notice."""
    (run.folder / "t" / "1").chmod(0o600)
    code = (
        "import os,sys\n"
        f"os.rename({str(run.folder / 't' / '1')!r}, {str(run.folder / 't' / 'gone')!r})\n"
        "for i in range(2000):\n"
        "    os.path.exists(f'some-name-of-a-certain-length-that-is-not-there-{i}')\n"
        "print('fine')\n"
    )
    assert run.run("python3", "-S", "-c", code, cwd=work) == "fine\n"
    data = (run.folder / "t" / "gone").read_bytes()
    assert harness.decode_trace(data).lost


def test_reading_the_terminal_is_told(run: harness.RunDirectory, work: Path) -> None:
    """Standard input that is a terminal matters only when it is read."""
    for step, command in ((2, ["sh", "-c", "read x"]), (3, ["sh", "-c", "true"])):
        run.make_trace(step)
        main, terminal = pty.openpty()
        environment = run.environment(HASHMAKE_STEP=str(step))
        with subprocess.Popen(command, cwd=work, env=environment, stdin=terminal, stdout=subprocess.DEVNULL) as process:
            os.write(main, b"hello\n")
            assert process.wait() == 0
        os.close(main)
        os.close(terminal)
    assert [text.split(":")[0] for text in run.trace(2).texts("!")] == ["terminal"]
    assert not run.trace(3).texts("!")


def test_the_network_is_told(run: harness.RunDirectory, work: Path) -> None:
    """A connection to anywhere cannot be digested."""
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 1))"
    run.run("python3", "-c", code, cwd=work)
    assert [text.split(":")[0] for text in run.trace().texts("!")] == ["network"]


@pytest.mark.parametrize("first", [True, False])
def test_calls_before_our_start_are_recorded(
    first: bool, program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """An allocator that is loaded beside us calls us from the first moment."""
    early = program("early", "-shared", "-fPIC", "-fno-builtin", to="early.so")
    preload = f"{early}:{run.library}" if first else f"{run.library}:{early}"
    assert run.run("sh", "-c", "echo $(echo fine)", cwd=work, LD_PRELOAD=preload) == "fine\n"
    trace = run.trace()
    assert all(trace.kinds(work / name) == "n" for name in ("early-open", "early-raw", "early-constructor"))
    assert "EARLY" in trace.texts("g")
    assert not trace.lost


def test_the_smallest_stack_is_enough(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Paths lay on the stack, two and more at a time: a thread with 16 kB of it died in the first rename."""
    run.run(program("small_stack"), cwd=work)
    trace = run.trace()
    assert {str(work / name) for name in ("made", "moved", "twin")} <= set(trace.texts("w"))
    assert str(work / "nothing") in trace.texts("n")
    assert trace.expected == trace.hello - 1  # the first one is counted by who starts it
