"""A composite as one: what was there before it started counts, what its own steps made does not."""

from __future__ import annotations

from array import array

from fakes import MemoryDisk, version_of

from hashmake.disk.disk import Disk
from hashmake.judge.account import Account
from hashmake.judge.composite import aggregate
from hashmake.judge.running import Below
from hashmake.judge.tree import Tree
from hashmake.model import kinds
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, FAILED, RECIPE, UNSEEN, Result
from hashmake.model.tables import PathId


def kid(recording: Recording, reads: dict[str, str], writes: dict[str, str]) -> Result:
    t = recording.tables
    result = Result(repr((reads, writes)).encode(), RECIPE, PathId(0), [b"x"])
    facts = [t.fact(kinds.READ, t.path(b"/w/" + n.encode()), t.value(version_of(v))) for n, v in reads.items()]
    result.facts = array("I", sorted(facts))
    for n, v in writes.items():
        result.outs.extend((t.path(b"/w/" + n.encode()), 0, t.value(version_of(v)) if v else 0))
    return recording.accept(result)


def whole(recording: Recording, *events: Result) -> tuple[set[bytes], dict[bytes, int], Result]:
    tree = Tree(recording.tables, MemoryDisk())
    result = Result(b"m" * 16, RECIPE, PathId(0), [b"make"])
    aggregate(result, [Below(e, e.outputs()) for e in events], Account(0, 0), tree, Disk())
    t = recording.tables
    return (
        {t.paths[t.fact_path[f]] for f in result.facts},
        {t.paths[p]: post for p, _, post in result.outputs()},
        result,
    )


def test_what_a_step_below_made_is_internal() -> None:
    """cc makes a.o, ld reads it: the composite reads a.c and makes both."""
    r = Recording()
    reads, outs, result = whole(r, kid(r, {"a.c": "1"}, {"a.o": "x"}), kid(r, {"a.o": "x"}, {"prog": "y"}))
    assert reads == {b"/w/a.c"}
    assert set(outs) == {b"/w/a.o", b"/w/prog"}
    assert result.flags & COMPOSITE
    assert result.steps == 2


def test_the_last_version_of_a_path_is_the_output() -> None:
    """cc then objtool: one output, the later version."""
    r = Recording()
    _reads, outs, _result = whole(r, kid(r, {}, {"a.o": "x"}), kid(r, {"a.o": "x"}, {"a.o": "xx"}))
    assert outs == {b"/w/a.o": r.tables.value(version_of("xx"))}


def test_a_path_made_and_removed_is_neither_input_nor_output() -> None:
    """An intermediate file that make removes."""
    r = Recording()
    reads, outs, _result = whole(
        r, kid(r, {}, {"y.c": "x"}), kid(r, {"y.c": "x"}, {"y.o": "o"}), kid(r, {}, {"y.c": ""})
    )
    assert reads == set()
    assert set(outs) == {b"/w/y.o"}


def test_a_composite_with_a_failed_or_unseen_step_is_never_current() -> None:
    """Not fully seen spreads upwards."""
    for flag in (FAILED, UNSEEN):
        r = Recording()
        bad = kid(r, {"a": "1"}, {})
        bad.flags = flag
        assert whole(r, bad)[2].flags & UNSEEN
