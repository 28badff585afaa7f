"""A jobserver for makes that run below us while no make runs above them (GNU make's manual, "POSIX Jobserver")."""

import fcntl
import os
import re

_FIRST = 64  # descriptors from here on: programs have their own ideas about small numbers
_OURS = re.compile(rb" -j\d* --jobserver-(?:auth|fds)=\S+")


class Jobserver:
    """See the module's text. jobs: how many may run in all; 0: there is no limit."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._ends: tuple[int, int] | None = None

    def lend(self, env: dict[bytes, bytes]) -> tuple[int, ...]:
        """Let a make with this environment share in the jobs; the descriptors that it has to inherit."""
        flags = env.get(b"MAKEFLAGS", b"")
        if not _OURS.search(flags):
            return ()
        said = b" -j" if self._jobs == 0 else b""
        ends: tuple[int, ...] = ()
        if self._jobs > 1:
            ends = self._open()
            said = b" -j%d --jobserver-auth=%d,%d" % (self._jobs, *ends)
        env[b"MAKEFLAGS"] = _OURS.sub(said, flags, count=1)
        return ends

    def _open(self) -> tuple[int, int]:
        if self._ends is None:
            pipe = os.pipe()
            reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST) for end in pipe)
            for end in pipe:
                os.close(end)
            os.write(writer, b"+" * (self._jobs - 1))  # its own job each make has without asking
            self._ends = (reader, writer)
        return self._ends

    def close(self) -> None:
        """No make is at work any more."""
        for end in self._ends or ():
            os.close(end)
        self._ends = None
