"""The status line on a terminal."""

import os
import re
import sys
import time

from hashmake.judge.log import Counts
from hashmake.judge.running import Running
from hashmake.progress.plain import Plain

_REFRESH_S = 0.1
_SETTLE_S = 0.3  # a build that is over by then shows nothing


class Live(Plain):
    """A terminal: `[done/known] time left, what runs now` on the last row; what is current is done as well.

    make, compilers and launchers write to the same terminal at any moment: a line among theirs can't be erased in time.
    The last row is taken out of what scrolls instead (as apt does), and given back at the end.
    """

    def __init__(self, known: int, closing: bool) -> None:
        super().__init__()
        self._known = known
        self._closing = closing
        self._counts = Counts()
        self._shown = 0.0
        self._rows = 0

    def watch(self, counts: Counts, /) -> None:
        """Show these from now on."""
        self._counts = counts

    def step(self, running: Running, /) -> None:
        """Show it, ten times a second at most."""
        now = time.monotonic()
        if now - self._shown < _REFRESH_S or now - self._began < _SETTLE_S:
            return
        self._shown = now
        size = os.get_terminal_size(sys.stderr.fileno())
        if size.lines < 3 or size.columns < 20:
            return
        if size.lines != self._rows:
            self._take_row(size.lines)
        done = self._counts.run + self._counts.restored + self._counts.current
        left = ""
        if self._known > done > 0 and now - self._began > 2:
            left = f" {(now - self._began) * (self._known / done - 1):.0f} s left"
        known = f"/{max(self._known, done)}" if self._known else ""
        text = f"[{done}{known}]{left} {short(running)}"[: size.columns - 1]
        self._write(f"\x1b7\x1b[{size.lines};1H\x1b[K{text}\x1b8")

    def _take_row(self, rows: int) -> None:
        """A line feed makes room; then only the rows above the last one scroll."""
        self._rows = rows
        self._write(f"\n\x1b7\x1b[1;{rows - 1}r\x1b8\x1b[1A")

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            pass

    def close(self, counts: Counts, code: int, /) -> None:
        """Give the row back; say what ran."""
        if self._rows:
            self._write(f"\x1b7\x1b[{self._rows};1H\x1b[K\x1b[r\x1b8")
        if self._closing:
            super().close(counts, code)


_SAID = re.compile(rb"\becho '\s*([A-Z][\w .+-]*?)\s+([^';]+?)\s*'\s*;")  # echo '  CC      kernel/fork.o'; ...
_INTO = re.compile(rb"\s(?:-o|>>?)\s*([^\s;|&<>$`\"']+)")
_WORD = re.compile(rb"[^\s;|&<>()$`\"']+")


def short(running: Running) -> str:
    """What a step makes, in a few words: what the project prints for it, else the names of its products."""
    text = running.argv[-1] if len(running.argv) < 2 or running.argv[-2] == b"-c" else b" ".join(running.argv[1:])
    said = _SAID.search(text)
    if said is not None:
        line = said[1] + b" " + said[2]
    elif running.makes:
        inside = running.cwd + b"/"
        line = b" ".join(path.removeprefix(inside) for path in running.makes[:3]) + (
            b" ..." if running.makes[3:] else b""
        )
    else:
        names = _INTO.findall(text)
        words = _WORD.findall(text)
        line = names[-1] if names else b" ".join(words[:1] + words[-1:] if len(words) > 1 else words)
    return " ".join(line.decode("utf-8", "replace").split())
