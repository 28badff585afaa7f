"""The log of one evaluation: which steps ran, and why."""

from hashmake.judge.reason import NEVER_RAN, Reason
from hashmake.judge.running import Running
from hashmake.model.goal import Goal
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, FAILED, ROOT, Result
from hashmake.model.tables import NO_VALUE


class Counts:
    """How many steps ran, were skipped, restored, failed; how many make processes were evaluated.

    A composite is a step as well if it wrote files itself. `again`: steps that an earlier evaluation of the same build
    had run or restored, and that this one skips.
    """

    def __init__(self) -> None:
        self.run = self.skipped = self.restored = self.failed = self.evaluated = self.again = 0

    @property
    def current(self) -> int:
        """How many steps neither ran nor were restored in the whole build."""
        return max(self.skipped - self.again, 0)

    def begin_after(self, before: "Counts") -> None:
        """Make evaluates once more in the same build."""
        self.run, self.restored, self.failed = before.run, before.restored, before.failed
        self.evaluated = before.evaluated
        self.again = before.run + before.restored


class Ran:
    """One line of the log: a step that ran."""

    __slots__ = ("argv", "code", "cpu_us", "cwd", "kind", "outputs", "peak_kb", "reason", "started", "wall_us")

    def __init__(self, running: Running, result: Result, outputs: list[bytes]) -> None:
        self.cwd = running.cwd
        self.argv = running.argv
        self.kind = running.kind
        self.reason = running.reason or NEVER_RAN
        self.outputs = outputs
        self.wall_us = result.wall_us
        self.started, self.cpu_us, self.peak_kb = running.started, running.cpu_us, running.peak_kb
        self.code = result.code


class Log:
    """Counts all steps, has a line for each that ran.

    mode  "make", or "replay" where make was not started
    """

    def __init__(self, recording: Recording, goal: Goal) -> None:
        self._goal = goal
        self.counts = Counts()
        self.mode = "make"
        self.ran: list[Ran] = []
        self._recording = recording

    def begin_after(self, before: "Log") -> None:
        """Make evaluates once more in the same build: one log for all of it."""
        self.counts.begin_after(before.counts)
        self.ran = list(before.ran)

    def add(self, running: Running, result: Result) -> None:
        """A step ended."""
        if result.flags & COMPOSITE:
            self.counts.evaluated += 1
            if running.kind == ROOT or not running.account.outs:
                return  # nothing but a make; what it started has lines of its own
        self.counts.run += 1
        if result.flags & FAILED:
            self.counts.failed += 1
        paths = self._recording.tables.paths
        outputs = [paths[pid] for pid, _pre, post in result.outputs() if post]
        self.ran.append(Ran(running, result, outputs))

    def tell_changed(self, running: Running, result: Result) -> None:
        """Before a result is remembered: where another command made the same last time, the command has changed."""
        for pid, _pre, _post in result.outputs() if running.reason is NEVER_RAN else ():
            _, version = self._goal.complete.get(pid, (NO_VALUE, NO_VALUE))
            maker = self._recording.makers.get((pid, version))
            old = self._recording.result(maker) if maker else None
            if old is not None and old.key != result.key and old.build < self._recording.build:
                running.reason = Reason("CommandChanged", b"", b" ".join(old.argv[1:]), b" ".join(result.argv[1:]))
                return

    def take_back(self) -> None:
        """The step of the last line failed for want of something, and begins once more."""
        self.ran.pop()
        self.counts.run -= 1
        self.counts.failed -= 1
