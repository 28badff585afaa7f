"""make's own process: started in the clean view, waited for, signals handed on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hashmake.judge.running import Running
from hashmake.run.trace import make_trace

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Make:
    """See the module's text. `signals`: the last signal that tells the build to end; 0: none came."""

    def __init__(self, run_dir: str, library: str) -> None:
        """`library`: the interposer."""
        self.signals = 0
        self._passed = False
        self._run_dir = run_dir
        self._library = library
        self._pids: list[int] = []

    def start(self, executable: str, command: list[str], environ: dict[str, str], root: Running) -> int:
        """Start it, as the step `root`."""
        env = dict(environ)
        preload = env.get("LD_PRELOAD", "")
        env["LD_PRELOAD"] = f"{self._library} {preload}".strip()
        env["HASHMAKE_RUN"] = self._run_dir
        env["HASHMAKE_STEP"] = str(root.number)
        env["HASHMAKE_MAKE"] = os.path.realpath(executable)  # whatever its name: make-4.4.1
        make_trace(os.path.join(self._run_dir, "t", str(root.number)))
        self._child = subprocess.Popen(command, executable=executable, env=env, close_fds=False)
        self._pids.append(self._child.pid)
        return self._child.pid

    def ended(self) -> int | None:
        """Its exit status, negative for the signal that killed it; None while it runs."""
        code = self._child.poll()
        if code is not None:
            self._pids.clear()  # the number may be another process's from now on
        return code

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Signals that tell the build to end are noted, to the end of its saving: a second Ctrl-C loses nothing."""
        before = {s: signal.signal(s, lambda n, _frame: self._signalled(n)) for s in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    @contextmanager
    def watched(self, wake_by: Callable[[int], None]) -> Iterator[None]:
        """Signals are ours meanwhile. `wake_by` is told of a descriptor that shows each; -1 at the end."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        wake_by(reader)
        before = signal.signal(signal.SIGCHLD, lambda _n, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before if before is not None else signal.SIG_DFL)
            wake_by(-1)
            os.close(reader)
            os.close(writer)

    def pass_on(self, to: Callable[[int], None]) -> None:
        """The signal that came, once, to steps that no make is above of."""
        if self.signals and not self._passed and (self.signals != signal.SIGINT or not _from_terminal()):
            to(self.signals)
        self._passed = True

    def _signalled(self, number: int) -> None:
        """The terminal signals make too; a signal sent to us alone is handed on."""
        self.signals = number
        if self._pids and (number != signal.SIGINT or not _from_terminal()):
            try:
                os.kill(self._pids[0], number)
            except ProcessLookupError:
                pass


def _from_terminal() -> bool:
    """Whether Ctrl-C comes from a terminal, which signals the whole foreground group, make included."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
