"""Steps that other machines run in the place of this one: sent, looked at when they come back, put into the tree."""

import os
import time
from collections import deque
from collections.abc import Callable

from hashmake.judge.engine import Engine
from hashmake.judge.running import Running
from hashmake.judge.sending import Job, Sending
from hashmake.model.printed import ERR, ONE, OUT, Printed
from hashmake.run.library import library_path
from hashmake.run.trace import TraceFile
from hashmake.store.execute import PLACE, Execution, Outcome
from hashmake.store.remote import RemoteStore

_DEADLINE_S = 30.0  # and some times what the step took here
_DEADLINE_TIMES = 20
_MOST = 256  # steps at a time
_OURS = (b"HASHMAKE_RUN=", b"HASHMAKE_STEP=", b"LD_PRELOAD=")


class Farm:
    """See the module's text.

    ring  is called, in another thread, when a step has come back
    """

    def __init__(
        self, engine: Engine, remote: RemoteStore, run_dir: str, library: str, ring: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._remote = remote
        self._run_dir = os.fsencode(run_dir)
        self._library = os.fsencode(library)
        self._ring = ring
        self._sending = Sending(engine.evaluation)
        self._tools: dict[bytes, bytes] = {}
        self._back: deque[tuple[Running, Job, float, Outcome | None, Callable[[Outcome | None], None]]] = deque()
        self._away = 0

    def take(self, running: Running, then: Callable[[Outcome | None], None]) -> bool:
        """Whether a step has been sent. `then`: what to do when it is over, or (None) has to run here."""
        if not self._remote.endpoint.executes or self._remote.client.off or self._away >= _MOST:
            return False
        job = self._sending.job(running, running.last)
        block = self._block(running.environment.block) if job is not None else None
        if job is None or block is None or running.last is None or not self._has_tools():
            return False
        sums: dict[bytes, bytes] = {}
        for path, version in job.files.items():
            found = self._remote.sum_of(path, version)
            if found is None:
                return False
            sums[version] = found
        self._remote.connect()
        self._away += 1
        began = time.monotonic()

        def came(outcome: Outcome | None) -> None:
            self._back.append((running, job, began, outcome, then))
            self._ring()

        deadline = _DEADLINE_S + _DEADLINE_TIMES * running.last.wall_us / 1e6
        Execution(self._remote, job._replace(block=block), sums, self._tools, deadline, came)
        return True

    def _has_tools(self) -> bool:
        """The launcher and the interposer; not where the launcher could not be linked statically."""
        if not self._tools:
            library = library_path()
            for name in (b"libhashmake.so", b"hmstep"):
                with open(os.path.join(os.path.dirname(os.fsencode(library)), name), "rb") as file:
                    self._tools[name] = file.read()
        return b"/ld-linux" not in self._tools[b"hmstep"]

    def _block(self, block: bytes) -> bytes | None:
        """The environment there; None where something else of this machine is preloaded (fakeroot)."""
        entries = block.split(b"\0")
        preloaded = [each.partition(b"=")[2] for each in entries if each.startswith(b"LD_PRELOAD=")]
        if any(text.strip(b" :") not in (self._library, b"") for text in preloaded):
            return None
        kept = [each for each in entries if each and not each.startswith(_OURS)]
        ours = [b"HASHMAKE_RUN=" + PLACE, b"HASHMAKE_STEP=1", b"LD_PRELOAD=" + PLACE + b"/libhashmake.so"]
        return b"\0".join([*kept, *ours])

    def arrived(self) -> None:
        """Look at what has come back."""
        while self._back:
            running, job, began, outcome, then = self._back.popleft()
            self._away -= 1
            if outcome is not None and not self._accept(running, job, outcome, began):
                outcome = None
            then(outcome)

    def _accept(self, running: Running, job: Job, outcome: Outcome, began: float) -> bool:
        """Whether it is what the step would have done here; then its products lie in the tree, and it is recorded."""
        both = bool(outcome.out and outcome.err)
        if running.number not in self._engine.evaluation.running or (running.keeps & ONE and both):
            return False
        trace = os.path.join(self._run_dir, b"t", b"%d" % running.number)
        try:
            good = self._is_good(trace, job, outcome) and self._place(outcome)
        except OSError:
            good = False
        if not good:
            try:
                os.unlink(trace)  # it runs here, and makes its own
            except OSError:
                pass  # it was not even made
            return False
        kept = ONE if running.keeps & ONE else OUT | ERR if running.keeps or running.watched else 0
        out = outcome.out + outcome.err if kept == ONE else outcome.out
        printed = Printed(out, b"" if kept == ONE else outcome.err, kept)
        self._remote.figures.executed += 1
        self._engine.ending.done(running, 0, int((time.monotonic() - began) * 1e6), printed)
        return True

    def _is_good(self, trace: bytes, job: Job, outcome: Outcome) -> bool:
        """Whether its trace, which is put there, tells of nothing else than would have been done here."""
        with open(os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(outcome.trace)
        told = TraceFile(trace)
        records = told.records(final=True)
        if told.lost is not None or not set(outcome.files) <= set(job.outputs):
            return False
        return self._sending.agrees(records, set(outcome.files))

    def _place(self, outcome: Outcome) -> bool:
        """Put the products where they belong. Raises OSError."""
        tree = self._engine.evaluation.tree
        paths = sorted(outcome.files)
        if any(os.path.realpath(os.path.dirname(path)) != os.path.dirname(path) for path in paths):
            return False
        mask = os.umask(0o077)
        os.umask(mask)
        self._engine.restoring.about_to_write([(path, not os.path.lexists(path)) for path in paths])
        for path in paths:
            content, executable = outcome.files[path]
            near = path + b".hashmake"
            with open(os.open(near, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), (0o777 if executable else 0o666) & ~mask)
            os.rename(near, path)
            tree.wrote(path)
        return True
