"""The plan of a goal: what its last builds found, as one content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmake.model.shared import Questions, Seen
from hashmake.store.plan import Plan

KEY = bytes(range(96))
QUESTIONS = Questions(b"PATH=/bin", [b"Ga", b"Gb", b"Gb", b"Hz"])
SEEN = Seen(KEY[32:64], [b"\3S\3"], QUESTIONS, b"tools456")
DIGESTS = [(b"d" * 32, 7)]


def plan_of(*keys: bytes) -> Plan:
    plan = Plan()
    for key in keys:
        plan.add(key, SEEN._replace(name=key[32:64]), b"left" + key[:1], DIGESTS)
    return plan


def test_it_says_what_was_put_into_it() -> None:
    plan = Plan.unpack(plan_of(KEY).packed())
    assert plan.results == {KEY: (b"left\0", DIGESTS, 0)}
    assert list(plan.of_step[KEY[:32]]) == [KEY[32:64]]
    assert plan.set_named(KEY[32:64]) == SEEN
    assert plan.order == [KEY]
    assert not plan.changed


@given(st.lists(st.binary(min_size=1).filter(lambda text: b"\0" not in text), unique=True))
def test_questions_come_back_in_their_order(asked: list[bytes]) -> None:
    """What a result is found by depends on it."""
    plan = plan_of(KEY)
    key = KEY[::-1]
    plan.add(key, Seen(key[32:64], [b""], Questions(b"", sorted(asked)), b""), b"", [])
    assert Plan.unpack(plan.packed()).set_named(key[32:64]).questions.asked == sorted(asked)


def test_what_nobody_uses_goes() -> None:
    """And what is used stays."""
    old, used = KEY, KEY[1:] + b"u"
    plan = plan_of(old, used)
    for _build in range(20):
        plan = Plan.unpack(plan.packed())
        plan.grow_older()
        if used in plan.results:
            plan.use(used)
    assert list(plan.results) == [used]


def test_what_nobody_tells_is_not_asked_for() -> None:
    """Until somebody does."""
    plan = plan_of(KEY)
    plan.silent = {b"s" * 32, KEY[:32]}
    assert Plan.unpack(plan.packed()).silent == {b"s" * 32}


def test_a_plan_of_another_kind_is_refused() -> None:
    data = plan_of(KEY).packed()
    with pytest.raises(ValueError, match="plan"):
        Plan.unpack(data.replace(b"hashmake-plan/2", b"hashmake-plan/9"))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_plan_raises_value_errors_only(at: int, change: int) -> None:
    """When it is read, or when a set is looked at."""
    data = bytearray(plan_of(KEY, KEY[1:] + b"u").packed())
    data[at % len(data)] ^= change
    try:
        plan = Plan.unpack(bytes(data))
        for name in [key[32:64] for key in plan.order]:
            plan.set_named(name)
    except ValueError:
        pass
