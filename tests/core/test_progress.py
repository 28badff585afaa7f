"""What the status line says of a step."""

from __future__ import annotations

import io
import os
import sys
import time

import pytest

from hashmake.judge.account import Account
from hashmake.judge.log import Counts
from hashmake.judge.running import Running
from hashmake.model.environment import Environment
from hashmake.model.makeflags import never
from hashmake.progress.live import Live, short
from hashmake.run.trace import TraceFile


def running(*argv: bytes, makes: tuple[bytes, ...] = ()) -> Running:
    environment = Environment(0, [], b"", never)
    found = Running(1, b"k", b"R", b"/w", [argv[0], *argv], environment, None, Account(0, 0), TraceFile(b"/t"))
    found.makes = list(makes)
    return found


@pytest.mark.parametrize(
    ("words", "makes", "said"),
    [
        (
            (b"sh", b"-c", b"set -e;  echo '  CC      kernel/fork.o';   gcc -c -o kernel/fork.o fork.c"),
            (),
            "CC kernel/fork.o",
        ),
        ((b"sh", b"-c", b"set -e;  echo '  CC [M]  fs/fat.o'; gcc"), (), "CC [M] fs/fat.o"),
        ((b"gcc", b"-O2", b"-c", b"a.c", b"-o", b"a.o"), (), "a.o"),
        ((b"sh", b"-c", b"sed s/a/b/ in > out"), (), "out"),
        ((b"sh", b"-c", b"gcc -c a.c; mv a.o b.o"), (b"/w/b.o", b"/x/c.d"), "b.o /x/c.d"),
        ((b"touch", b"stamp"), (), "touch stamp"),
        ((b"true",), (), "true"),
    ],
)
def test_a_step_in_a_few_words(words: tuple[bytes, ...], makes: tuple[bytes, ...], said: str) -> None:
    """What the project would print, else the names of what is made."""
    assert short(running(*words, makes=makes)) == said


def test_what_is_current_is_done_and_the_rest_takes_as_long_as_the_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    out = io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(out, "fileno", lambda: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((80, 24)))
    live, counts = Live(known=200, closing=False), Counts()
    live.watch(counts)
    for run, skipped, restored, shown in (
        (1, 0, 0, ""),
        (5, 40, 5, "[50/200] 12 s left CC x.o"),
        (10, 180, 10, "[200/200] CC"),
    ):
        counts.run, counts.skipped, counts.restored = run, skipped, restored
        live.step(running(b"sh", b"-c", b"set -e;  echo '  CC      x.o';   gcc"))
        assert shown in out.getvalue()
        assert bool(out.getvalue()) == bool(shown)
        now[0] += 4 if not shown else 1
