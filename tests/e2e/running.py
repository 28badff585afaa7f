"""A build as a process of its own session: it can be watched, interrupted and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Running:
    """One process with its output in files, so that a child left behind can't keep us waiting for a pipe."""

    process: subprocess.Popen[bytes]
    out: BinaryIO
    err: BinaryIO

    @classmethod
    def start(cls, command: Sequence[str], cwd: Path, environment: Mapping[str, str], umask: int) -> Running:
        """Start a command in a session of its own, so that a signal reaches it and its children as from a terminal."""
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  # closed by finish
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**environment, "PWD": str(cwd)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            umask=umask,
            start_new_session=True,
        )
        return cls(process, out, err)

    @property
    def session(self) -> int:
        """The session's number: that of its first process."""
        return self.process.pid

    def kill(self) -> None:
        """kill -9 of the tool itself; its children live on."""
        self.process.kill()

    def kill_tool(self) -> None:
        """kill -9 of the tool where it is not our own child but somewhere below it."""
        for pid in members(self.session):
            with contextlib.suppress(OSError):  # it has just ended
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("python"):
                    _kill(pid)

    def kill_below(self) -> None:
        """kill -9 of everything that the tool started; of the tool too where it is make itself."""
        for pid in members(self.session):
            if pid != self.process.pid or _name(pid) == "make":
                _kill(pid)

    def kill_all(self) -> None:
        """kill -9 of the whole session, also of what was born while it was being killed."""
        end = time.monotonic() + 10
        while (pids := members(self.session)) and time.monotonic() < end:
            for pid in pids:
                _kill(pid)

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self, patience: float) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill_all()
            self.process.wait()
            status = -999
        return status, _read(self.out), _read(self.err)


def members(session: int) -> list[int]:
    """Every living process of a session."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            state, its_session = _state(int(entry))
            if its_session == session and state not in "ZX":
                found.append(int(entry))
    return found


def drained(session: int, patience: float) -> bool:
    """Wait until no process of a session is left."""
    return wait_for(lambda: not members(session), patience)


def wait_for(condition: Callable[[], bool], patience: float = 20) -> bool:
    """Look every few milliseconds; whether it came true in time."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _state(pid: int) -> tuple[str, int]:
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", -1
    return fields[0], int(fields[3])


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _read(file: BinaryIO) -> str:
    with file:
        file.seek(0)
        return os.fsdecode(file.read())
