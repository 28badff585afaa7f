"""Steps that the supervisor starts itself: for a version that is due again, or for what a line prints."""

import os
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import Running
from hashmake.model.result import SHELL
from hashmake.run.limits import Descriptors
from hashmake.run.loop import Loop

if TYPE_CHECKING:
    from hashmake.run.jobserver import Jobserver


class Reruns:
    """See the module's text. jobserver: for makes among them, where no make is above them."""

    def __init__(
        self, evaluation: Evaluation, loop: Loop, run_dir: str, library: str, descriptors: Descriptors
    ) -> None:
        """`library`: the interposer; the launcher lies beside it."""
        self._evaluation = evaluation
        self._loop = loop
        self._run_dir = run_dir
        self._library = library
        self._descriptors = descriptors
        self._started: dict[int, tuple[Running, subprocess.Popen[bytes]]] = {}
        self.jobserver: Jobserver | None = None

    def start(self, running: Running, then: Callable[[], None], stdin: int | None = subprocess.DEVNULL) -> None:
        """Start it; `then` when it has ended, well or not. `stdin`: as Popen has it."""
        running.then = then
        env = dict(s.partition(b"=")[::2] for s in running.environment.block.split(b"\0") if s)
        preload = env.get(b"LD_PRELOAD", b"")
        env[b"LD_PRELOAD"] = (os.fsencode(self._library) + b" " + preload).strip()
        env[b"HASHMAKE_RUN"] = os.fsencode(self._run_dir)
        env[b"HASHMAKE_STEP"] = b"%d" % running.number
        env[b"HASHMAKE_RERUN"] = b"%d" % running.number
        inherited = self.jobserver.lend(env) if self.jobserver is not None else ()
        launcher = os.fsencode(os.path.join(os.path.dirname(self._library), "hmstep"))
        echo = [b"T", running.echo] if running.echo else [b"-"]
        arguments = [launcher, running.kind + echo[0], *echo[1:], *running.argv]
        out = subprocess.DEVNULL if running.kind == SHELL else None
        try:
            process = subprocess.Popen(
                arguments,
                env=env,
                cwd=running.cwd,
                stdin=stdin,
                stdout=out,
                pass_fds=inherited,
            )  # no preexec_fn: a process of our size is better not forked
            self._descriptors.lower_in(process.pid)
        except OSError:
            self._evaluation.running.pop(running.number, None)
            self._evaluation.restart = True
            then()
            return
        self._started[running.number] = (running, process)

    def pass_on(self, number: int) -> None:
        """A signal, to all of them."""
        for _running, process in self._started.values():
            if process.poll() is None:
                process.send_signal(number)

    def asked_for(self, block: bytes) -> Running | None:
        """The step that a launcher with this environment was started for by us; None: make started it."""
        at = block.find(b"HASHMAKE_RERUN=")
        if at < 0 or not self._started:
            return None
        number = block[at + 15 :].split(b"\0", 1)[0]
        running = self._started.get(int(number) if number.isdigit() else 0, (None, None))[0]
        return running if running is not None and not self._loop.serves(running) else None

    def end(self) -> None:
        """Forget those that have ended; one whose launcher never asked did not run."""
        for number, (running, process) in list(self._started.items()):
            ended = process.poll() is not None  # once: a launcher whose step is over may go at any moment
            if ended and number not in self._evaluation.running:
                del self._started[number]
            elif ended and number in self._evaluation.running and not self._loop.serves(running):
                del self._started[number]
                self._evaluation.running.pop(number, None)
                self._evaluation.restart = True
                if running.then is not None:
                    running.then()
