"""A launcher's summary of a trace comes to what the whole trace comes to, or it is refused."""

from __future__ import annotations

from array import array

import pytest
from fakes import at
from hypothesis import given, settings
from hypothesis import strategies as st
from summing import sum_up

from hashmake.model.summary import Summary

from .test_accounts import Step, record_of

NAMES = ("a", "b", "d/a", "d/b")
RECORDS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("rrrnnnslak"), st.sampled_from(NAMES)).map(" ".join),
        st.tuples(st.sampled_from("wutc"), st.sampled_from(NAMES)).map(" ".join),
        st.sampled_from(["g =HOME", "G =perl", "C =echo $X", "d d", "e d/a", "f d", "v =uname", "! =static:x", ". a"]),
    ),
    max_size=12,
)


def summary(step: Step, records: list[bytes]) -> Summary:
    found = sum_up(records, step.tree.record_facts)
    assert found is not None
    return Summary(array("I", found[0]), found[1], step.tree.generation, 4000)


def world(before: list[list[str]], last: list[str]) -> tuple[Step, list[bytes]]:
    """A build in which these steps have been, and the records of the one that has just ended."""
    step = Step(a="1")
    for number, records in enumerate(before):
        step.begin()
        run(step, records, f"{number}")
        step.done(*records)
    step.begin()
    run(step, last, "last")
    return step, [record_of(record) for record in last]


def run(step: Step, records: list[str], text: str) -> None:
    """What its writes and removals leave."""
    for record in records:
        kind, _, name = record.partition(" ")
        if kind == "w":
            step.write(name, text)
        elif kind == "u" and at(name) in step.files.nodes:
            step.remove(name)


def told(step: Step) -> tuple[object, ...]:
    account = step.account
    other = (account.names, account.wrote, account.looks, account.readers, account.unseen, account.shell, account.lists)
    order = [step.tables.paths[pid] for pid in account.outs]
    return step.facts(), step.outs(), order, other


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(RECORDS, max_size=3), RECORDS)
def test_it_comes_to_what_the_whole_trace_comes_to(before: list[list[str]], last: list[str]) -> None:
    whole, records = world(before, last)
    whole.accountant.absorb(whole.account, records)
    summed, records = world(before, last)
    assert summed.accountant.sum_of(summed.account, summary(summed, records))
    assert told(summed) == told(whole)


def test_most_of_what_was_looked_at_before_is_a_number() -> None:
    step, records = world([["r a", "n b"]], ["r a", "n b", "n d/a", "w d/b"])
    told = summary(step, records)
    assert len(told.facts) == 2
    assert told.records == [b"n" + at("d/a"), b"w" + at("d/b")]


def test_it_is_refused_when_something_known_was_taken_back_meanwhile() -> None:
    """Another step has written what this one says that it has read."""
    step, records = world([["r a"]], ["r a"])
    late = summary(step, records)
    step.product("a", "2")
    assert not step.accountant.sum_of(step.account, late)
    assert not step.account.facts


def test_that_something_unknown_changed_is_no_reason_to_refuse_it() -> None:
    step, records = world([["r a"]], ["r a"])
    early = summary(step, records)
    step.product("b", "2")
    assert step.accountant.sum_of(step.account, early)


def test_it_is_refused_for_a_make() -> None:
    step, records = world([], ["r a"])
    step.account.make = True
    assert not step.accountant.sum_of(step.account, summary(step, records))


@pytest.mark.parametrize("record", ["P =/usr/bin/make", "m d", "M d", "+ a", "="])
def test_what_it_can_not_tell_is_not_summed_up(record: str) -> None:
    assert sum_up([record_of(record) if record != "=" else b""], {}) is None
