"""Steps whose launcher was killed, and what a killed make left behind: their processes are ended first."""

import signal
import time

from hashmake.judge.running import Running
from hashmake.run import strays


class _One:
    """A step whose launcher was killed, or make itself (running is None): its processes are being ended."""

    __slots__ = ("calm", "hard_at", "running", "told")

    def __init__(self, running: Running | None) -> None:
        self.running = running
        self.hard_at = time.monotonic() + strays.PATIENCE_S
        self.told: set[int] = set()
        self.calm = 0  # how often in a row none was left: one that is just in exec has no environment for a moment


class Severed:
    """See the module's text."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._all: list[_One] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, running: Running | None) -> None:
        """This step's launcher is gone; None: make is."""
        self._all.append(_One(running))

    def look(self) -> list[list[int]]:
        """For each, the processes that are left, told to end."""
        return [self._left(one) for one in self._all]

    def ended(self, left: list[list[int]]) -> list[Running]:
        """The steps of which nothing is left any more; `left`: what `look` found, before messages were read."""
        over = []
        for one, pids in zip(self._all[: len(left)], left, strict=True):
            one.calm = 0 if pids else one.calm + 1
            if one.calm == strays.LOOKS:
                over.append(one)
        self._all = [one for one in self._all if one not in over]
        return [one.running for one in over if one.running is not None]

    def _left(self, one: _One) -> list[int]:
        pids = strays.find(self._run_dir, one.running.number if one.running is not None else None)
        if time.monotonic() > one.hard_at:
            strays.send(pids, signal.SIGKILL)
        else:
            strays.send([pid for pid in pids if pid not in one.told], signal.SIGTERM)
            one.told.update(pids)
        return pids
