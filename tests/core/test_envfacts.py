"""What a record says of variables."""

from __future__ import annotations

import pytest

from hashmake.model.envfacts import hidden, joined, names_of, of_make, renumbered, shown
from hashmake.model.names import pack

SETS = [b"", pack(frozenset({b"CC", b"V_*"}))]


@pytest.mark.parametrize("searched", [b"", b"\1/bin:/usr/bin\1gcc\1ld"])
def test_facts_of_a_step_in_which_make_ran(searched: bytes) -> None:
    facts = joined(searched, 1, b"0f=")
    assert of_make(facts) == (1, b"0f=")
    assert names_of(facts, SETS) == {b"CC", b"V_*"}
    assert renumbered(facts, lambda number: number + 6) == joined(searched, 7, b"0f=")


@pytest.mark.parametrize("facts", [b"", b"*=x", b"\1/bin\1gcc\0A=1\0B", b"A=1\0B"])
def test_facts_of_other_steps(facts: bytes) -> None:
    assert of_make(facts) is None
    assert renumbered(facts, lambda number: number + 6) == facts
    assert names_of(facts, SETS) == {name for name in (b"*", b"A", b"B") if name in facts}


def test_others_can_tell_whether_their_variables_are_the_same_and_no_more() -> None:
    facts = b"\1/bin\1gcc\0A=secret\0B\0C=\0D=a=b"

    def sum_of(text: bytes) -> bytes:
        return text[::-1]

    here = {b"A": b"A=secret", b"C": b"C=", b"D": b"D=a=b"}
    told = hidden(facts, sum_of)
    assert b"secret" not in told
    assert shown(told, here.get, sum_of) == facts
    assert shown(told, {**here, b"A": b"A=other"}.get, sum_of) is None
    assert shown(told, {b"C": b"C=", b"D": b"D=a=b"}.get, sum_of) is None
    assert hidden(b"*=x", sum_of) == b"*=x"
    assert hidden(b"", sum_of) == shown(b"", here.get, sum_of) == b""
