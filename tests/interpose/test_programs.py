"""Programs started in every way are recorded and followed; those that cannot be followed are named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from . import harness

FOLLOWED = (
    "execv execve execvp execvpe execl execlp execle fexecve execveat clearenv "
    "fork vfork vforkdir spawn spawnp system popen"
)


@pytest.mark.parametrize("how", FOLLOWED.split())
def test_a_started_program_is_followed(
    how: str, program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """What the program read is in the trace, even when its environment was thrown away."""
    (work / "input").write_text("text\n")
    (work / "elsewhere").mkdir()
    (work / "elsewhere" / "input").write_text("other\n")
    (work / "after").write_text("x")
    out = run.run(program("starts"), how, cwd=work)
    trace = run.trace()
    assert (out, trace.lost) == ({"vforkdir": "other\n", "popen": ""}.get(how, "text\n"), False)
    assert trace.expected + 1 == trace.hello
    read = work / "elsewhere" / "input" if how == "vforkdir" else work / "input"
    assert "r" in trace.kinds(read)
    assert "r" in trace.kinds(os.path.realpath("/bin/cat"))
    if how == "vforkdir":
        assert trace.kinds(work / "after") == "r"
    assert not trace.texts("!")


def test_programs_that_are_not_there_are_absent(
    program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """Each place of PATH that was tried is told."""
    path = f"{work}/bin:/usr/bin"
    run.run(program("starts"), "absent", cwd=work, PATH=path)
    trace = run.trace()
    assert trace.kinds(work / "nothing") == "n"
    assert trace.kinds(work / "bin" / "no-such-program-anywhere") == "n"
    assert trace.kinds("/usr/bin/no-such-program-anywhere") == "n"
    assert (trace.expected, trace.hello) == (0, 1)


def test_a_script_reads_its_interpreter(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """The script, the interpreter's link and the interpreter are all read."""
    script = work / "script"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    assert run.run(program("starts"), "execv", script, cwd=work) == "ran\n"
    trace = run.trace()
    assert trace.kinds(script) == "rS" or set(trace.kinds(script)) == {"r", "S"}
    assert "r" in trace.kinds("/usr/bin/sh")
    assert trace.expected + 1 == trace.hello


def test_a_text_without_interpreter_is_given_to_the_shell(
    program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """As execvp of libc does."""
    folder = work / "bin"
    folder.mkdir()
    script = folder / "cat"
    script.write_text("echo ran $1\n")
    script.chmod(0o755)
    assert run.run(program("starts"), "execvp", cwd=work, PATH=f"{folder}:/usr/bin:/bin") == "ran input\n"
    trace = run.trace()
    assert not trace.texts("!")
    assert trace.expected + 1 == trace.hello


@pytest.mark.parametrize("how", ["execv", "vfork", "spawn"])
def test_a_static_program_is_named(
    how: str, program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """It runs unseen, so the step cannot be skipped."""
    static = program("asks", "-static", to="static")
    run.run(program("starts"), how, static, cwd=work)
    trace = run.trace()
    assert trace.texts("!") == [f"static:{static}"]
    assert (trace.expected, trace.hello) == (0, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's file")
def test_a_set_user_id_program_is_named(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """ld.so will not load the interposer there."""
    target = work / "setuid"
    target.write_bytes(program("asks").read_bytes())
    os.chown(target, 65534, -1)
    target.chmod(0o4755)
    run.run(program("starts"), "execv", target, cwd=work)
    assert run.trace().texts("!") == [f"setuid:{target}"]


def test_other_preloads_are_kept(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Ours is put in front of or behind them, never in their place, and is not shown."""
    script = work / "script"
    script.write_text("#!/bin/sh\necho $LD_PRELOAD\ncat marker\n")
    script.chmod(0o755)
    (work / "marker").write_text("")
    other = str(program("other_preload", "-shared", "-fPIC", to="other.so"))
    assert run.run("env", f"LD_PRELOAD={other}", script, cwd=work) == f"{other}\n"
    assert str(work / "marker") in run.trace().texts("r")
    run.make_trace(2)
    words = ["env", "-u", "LD_PRELOAD", "-u", "HASHMAKE_STEP", str(script)]
    assert run.run(*words, cwd=work, HASHMAKE_STEP="2") == "\n"
    assert str(work / "marker") in run.trace(2).texts("r")


def test_objects_loaded_later_are_read(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """What dlopen brought in is told when the next file is opened, or at the end."""
    other = program("other_preload", "-shared", "-fPIC", to="other.so")
    (work / "plugin.so").write_bytes(other.read_bytes())
    run.run("python3", "-c", "import ctypes; ctypes.CDLL('./plugin.so')", cwd=work)
    assert "r" in run.trace().kinds(work / "plugin.so")
