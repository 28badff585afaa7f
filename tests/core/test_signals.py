"""Signals that tell a build to end: they are noted until it is saved."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from hashmake.run.due import Due
from hashmake.run.make import Make


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_while_make_runs_and_while_its_build_is_saved(number: signal.Signals) -> None:
    """A second Ctrl-C came while the first one's build was saved: what had ended was lost."""
    make = Make("/run", "/lib")
    before = signal.getsignal(number)
    woken: list[int] = []
    with make.heeding():
        with make.watched(woken.append):
            os.kill(os.getpid(), number)
            assert make.signals == number
            make.signals = 0
        os.kill(os.getpid(), number)
        assert make.signals == number
    assert signal.getsignal(number) == before
    assert woken[-1] == -1


def test_make_that_has_ended_is_sent_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another process's."""
    make = Make("/run", "/lib")
    make._child = SimpleNamespace(poll=lambda: 0)  # type: ignore[assignment]
    make._pids = [1]
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _number: sent.append(pid))
    make._signalled(signal.SIGTERM)
    assert make.ended() == 0
    make._signalled(signal.SIGTERM)
    assert sent == [1]


def test_a_build_that_was_told_to_end_brings_nothing_back_any_more() -> None:
    """But the next one goes on: this one is not complete."""
    evaluation = SimpleNamespace(tree=SimpleNamespace(ahead={1, 2}), restart=False)
    asked: list[int] = []
    engine = SimpleNamespace(evaluation=evaluation, ahead=SimpleNamespace(bring_back=asked.append))
    due = Due(engine, None)  # type: ignore[arg-type]
    due.bring_back_all(lambda: None, lambda: bool(asked))
    assert asked == [1]
    assert evaluation.restart
