"""What a build tells the one who watches it: the interface, and what is said where there is no terminal."""

import sys
import time
from typing import Protocol

from hashmake.judge.log import Counts
from hashmake.judge.running import Running


class Progress(Protocol):
    """What a build tells the one who watches."""

    def watch(self, counts: Counts, /) -> None: ...  # noqa: D102  # what is counted while the build goes on

    def step(self, running: Running, /) -> None: ...  # noqa: D102  # a step starts

    def close(self, counts: Counts, code: int, /) -> None: ...  # noqa: D102  # the build has ended


class Silent:
    """-s, and hmake away from a terminal."""

    def watch(self, _counts: Counts, /) -> None:
        """Nothing."""

    def step(self, _running: Running, /) -> None:
        """Nothing."""

    def close(self, _counts: Counts, _code: int, /) -> None:
        """Nothing."""


class Plain:
    """Not a terminal: one closing line."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def watch(self, _counts: Counts, /) -> None:
        """Nothing."""

    def step(self, _running: Running, /) -> None:
        """Nothing: make's own output says it."""

    def close(self, c: Counts, _code: int, /) -> None:
        """What ran."""
        wall = time.monotonic() - self._began
        failed = f", {c.failed} failed" if c.failed else ""
        restored = f", {c.restored} were restored" if c.restored else ""
        sys.stderr.write(f"hashmake: {c.run} steps ran{failed}{restored}, {c.current} were current, {wall:.1f} s\n")
        sys.stderr.flush()
