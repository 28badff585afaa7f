"""The status line on a terminal, one closing line elsewhere, nothing with -s."""

import os
import sys
import time
from typing import Protocol as Interface

from hashmake.engine import Engine
from hashmake.running import Running

_REFRESH_S = 0.1


class Progress(Interface):
    """What a build tells the one who watches."""

    def step(self, running: Running, /) -> None: ...  # noqa: D102  # a step starts

    def close(self, engine: Engine, code: int, /) -> None: ...  # noqa: D102  # the build has ended


class Silent:
    """-s, and hmake away from a terminal."""

    def step(self, _running: Running, /) -> None:
        """Nothing."""

    def close(self, _engine: Engine, _code: int, /) -> None:
        """Nothing."""


class Plain:
    """Not a terminal: one closing line."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def step(self, _running: Running, /) -> None:
        """Nothing: make's own output says it."""

    def close(self, engine: Engine, _code: int, /) -> None:
        """What ran."""
        c = engine.counts
        wall = time.monotonic() - self._began
        failed = f", {c.failed} failed" if c.failed else ""
        sys.stderr.write(f"hashmake: {c.run} steps ran{failed}, {c.skipped} were current, {wall:.1f} s\n")
        sys.stderr.flush()


class Live(Plain):
    """A terminal: `[ran/known] what runs now, time left`, erased before it is written again."""

    def __init__(self, known: int, closing: bool) -> None:
        super().__init__()
        self._known = known
        self._closing = closing
        self._done = 0
        self._shown = 0.0
        self._visible = False

    def step(self, running: Running, /) -> None:
        """Show it, ten times a second at most."""
        self._done += 1
        now = time.monotonic()
        if now - self._shown < _REFRESH_S:
            return
        self._shown = now
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
        except OSError:
            width = 80
        left = ""
        if self._known > self._done and now - self._began > 2:
            left = f" {(now - self._began) * (self._known / self._done - 1):.0f} s left"
        text = f"[{self._done}/{max(self._known, self._done)}]{left} {_short(running)}"
        sys.stderr.write("\r\x1b[K" + text[: width - 1] + "\r")
        sys.stderr.flush()
        self._visible = True

    def close(self, engine: Engine, code: int, /) -> None:
        """Erase the line; say what ran."""
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        if self._closing:
            super().close(engine, code)


def _short(running: Running) -> str:
    text = running.argv[-1] if running.argv else b""
    line = text.decode("utf-8", "replace").strip()
    return " ".join(line.split())


def for_build(silent: bool, drop_in: bool, known: int) -> Progress:
    """The display that fits standard error."""
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")
    if silent and not (drop_in and terminal):
        return Silent()
    if terminal:
        return Live(known, closing=not drop_in)
    return Plain()
