"""Steps that the supervisor starts itself: when one is over, and when it never was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hashmake.run.reruns import Reruns

if TYPE_CHECKING:
    from collections.abc import Iterable


def started(*answers: int | None, running: Iterable[int] = ()) -> tuple[Reruns, Any]:
    """Step 7 whose process gives these answers when it is asked whether it has ended; the steps that are running."""
    evaluation = SimpleNamespace(running=dict.fromkeys(running), restart=False)
    loop = SimpleNamespace(serves=lambda _running: False)
    reruns = Reruns(evaluation, loop, "", "", None)  # type: ignore[arg-type]
    states = iter(answers)
    process = SimpleNamespace(poll=lambda: next(states))
    reruns._started[7] = (SimpleNamespace(then=None), process)  # type: ignore[assignment]
    return reruns, evaluation


@pytest.mark.parametrize("answers", [(None, 0), (0,), (None, None, 0)])
def test_a_launcher_that_goes_after_its_step_is_no_reason_to_evaluate_again(answers: tuple[int | None, ...]) -> None:
    """It was asked twice in one look: it could go in between, and was taken for one that had never asked."""
    reruns, evaluation = started(*answers, 0, 0)
    for _ in answers:
        reruns.end()
    assert not evaluation.restart
    assert not reruns._started


def test_a_launcher_that_never_asked_is_one() -> None:
    reruns, evaluation = started(1, running=[7])
    reruns.end()
    assert evaluation.restart
    assert not evaluation.running
