"""Builds without make: when it need not be asked, and when it has to be."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from core.world import World
from hashmake.model.course import Call, Course
from hashmake.model.result import ResultId

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmake.judge.running import Running

SUB = """
make sub:
  x: a
  y: x b
last: y
"""


def world(makefile: str, checked: bool = True, **sources: str) -> World:
    """Built once, so that it is known what make asks for."""
    w = World(makefile, checked, False, **sources)
    w.build()
    assert not w.replayed
    return w


def test_what_reads_an_edited_source_runs_and_make_does_not() -> None:
    w = world(SUB, a="1", b="2")
    w.edit("b", "3")
    assert (w.build(), w.replayed) == ("sub y last", True)
    w.edit("a", "4")
    assert (w.build(), w.replayed) == ("sub x y last", True)


def test_a_build_without_make_is_recorded_like_one_with_it() -> None:
    """Byte for byte: the next one must not see which way it came about."""
    worlds = [world(SUB, a="1", b="2") for _ in range(2)]
    for w, replay in zip(worlds, (True, False), strict=True):
        w.replay = replay
        w.edit("b", "3")
        w.build()
        assert w.replayed == replay
    first, second = (w.recording for w in worlds)
    results = []
    for recording in (first, second):
        results.append([recording.result(ResultId(n)) for n in range(1, recording.next_result)])
        for result in results[-1]:
            assert result is not None
            result.wall_us = 0
    assert [r and r.pack() for r in results[0]] == [r and r.pack() for r in results[1]]
    assert first.products == second.products
    assert {g.key: g.complete for g in first.goals.values()} == {g.key: g.complete for g in second.goals.values()}


def test_an_equal_result_goes_no_further() -> None:
    w = world("make sub:\n  x: first(a)\nlast: x", a="1 2")
    w.edit("a", "1 3")
    assert (w.build(), w.replayed) == ("sub x", True)


def test_a_makefile_that_changed_is_makes_affair() -> None:
    w = world("x: a", a="1")
    w.makefile("x: a\ny: a")
    w.edit("a", "2")
    assert (w.build(), w.replayed) == ("x y", False)


def test_a_makefile_below_that_changed_is_that_makes_affair_and_no_others() -> None:
    w = world(SUB, a="1", b="2")
    w.makefile(SUB.replace("  y: x b", "  y: x b\n  z: x"))
    assert (w.build(), w.replayed) == ("sub z", True)
    w.edit("b", "3")
    assert (w.build(), w.replayed) == ("sub y last", True)


def test_what_a_make_below_begins_with_has_to_be_made_first() -> None:
    """It reads what a step before it makes: another version of that is read by make, not by a replay."""
    w = world("gen: a\nmake sub:\n  x: b\n", a="1", b="2")
    w.edit("a", "2")
    w.edit("b", "3")
    assert (w.build(), w.replayed) == ("gen sub x", True)


def test_the_answer_to_a_command_of_makes_has_to_be_the_same() -> None:
    w = world("shell version: first(a)\nx: b", a="1.0 x", b="1")
    w.edit("b", "2")
    assert (w.build(), w.replayed) == ("x", True)
    w.edit("a", "1.1 x")
    assert (w.build(), w.replayed) == ("version", False)


def test_a_make_that_is_left_half_way_begins_in_a_clean_tree() -> None:
    """Its first step has run; then make has to be given another answer. What it then does is as from the beginning."""
    makefile = "make sub:\n  x: a\n  shell seen: x\n  y: x\nlast: y"
    w = world(makefile, a="1")
    w.edit("a", "2")
    assert w.build().split()[-3:] == ["seen", "y", "last"]
    sub = w.result("sub")
    paths = w.recording.tables.paths
    assert {paths[pid]: pre for pid, pre, _post in sub.outputs()} == {b"/w/x": 0, b"/w/y": 0}
    assert w.build() == ""
    w.edit("a", "3")
    assert w.build().split()[-3:] == ["seen", "y", "last"]


def test_a_step_that_fails_is_not_run_twice() -> None:
    w = world("x: a\ny: first(a) ?b", a="1", checked=False)
    w.makefile("x: a\ny: first(a) ?b\nz: b c")
    w.edit("b", "1")
    w.edit("c", "1")
    w.build()
    w.remove("c")
    assert (w.build(), w.code) == ("z", 2)
    assert not w.replayed
    assert (w.build(), w.code) == ("z", 2)
    w.edit("c", "2")
    assert (w.build(), w.code) == ("z", 0)


def test_a_step_that_looks_for_what_is_made_after_it_is_makes_affair() -> None:
    """Make would have it made first, if it were told; the step runs again as it would with make."""
    w = world("x: a ?late\nlate: b", a="1", b="1", checked=False)
    w.makefile("x: a ?late\nlate: b")
    w.edit("a", "2")
    with_make = world("x: a ?late\nlate: b", a="1", b="1", checked=False)
    with_make.replay = False
    with_make.edit("a", "2")
    assert w.build() == with_make.build()
    assert w.text("x") == with_make.text("x")


def test_a_variable_that_differs_is_makes_affair() -> None:
    w = world("x: a", a="1")
    w.env["NEW"] = "1"
    w.edit("a", "2")
    assert (w.build(), w.replayed) == ("x", False)
    w.edit("a", "3")
    assert (w.build(), w.replayed) == ("x", True)


def test_what_make_was_not_heard_to_ask_for_is_not_started() -> None:
    """Whoever wrote the record, it was not this user's hashmake."""
    w = world("x: a", a="1")
    for course in w.courses.values():
        course.calls[:] = [call._replace(seal=bytes(16)) for call in course.calls]
    w.edit("a", "2")
    assert (w.build(), w.replayed) == ("x", False)


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_a_course_is_read_as_it_was_written_or_refused(length: int) -> None:
    course = Course(3)
    course.facts.extend((1, 2))
    course.decides.append(9)
    course.names, course.words, course.goal = [b"CC"], [b"all"], b"all"
    course.calls.append(Call(ResultId(7), 2, 1, True, b"cc -c", [b"/bin/sh", b"sh"], b"s" * 16))
    data = course.pack()
    assert Course.unpack(data).pack() == data
    if length < len(data):
        with pytest.raises((struct.error, ValueError)):
            Course.unpack(data[:length])


# -- what runs beside what ------------------------------------------------------------------------------------------


class Beside(World):
    """Steps that are started end only when all that could be started has been: `together` says which were at work."""

    def __init__(self, makefile: str, **sources: str) -> None:
        self.together: list[str] = []
        super().__init__(makefile, False, False, **sources)
        self.build()
        self.jobs = 4

    def start_later(self, running: Running, then: Callable[[], None]) -> None:
        self.begun.append((running, then))

    def wait_for_one(self) -> None:
        names = [step.name for r, _ in self.begun if (step := self._step_of(r)) is not None]
        self.together.append(" ".join(names))
        running, then = self.begun.pop(0)
        self._start(running, then)


@pytest.mark.parametrize(
    ("makefile", "together"),
    [
        ("x: a\ny: a\nz: a", ["x y z", "y z", "z"]),
        ("x: a\ny: x\nz: a", ["x", "y z", "z"]),  # y reads what x makes, and z comes after it
        ("x: a\ny+: a\ny+: a b", ["x y+", "y+", "y+"]),
        ("x: tmp(t) a\ny: tmp(t) a\nz: a", ["x", "y z", "z"]),  # the same temporary
        ("x: a\nlist: ls(.) a\nz: a", ["x", "list", "z"]),
        ("x: a\neffect = () : a\nz: a", ["x", "effect", "z"]),  # nobody sees what it is for
    ],
)
def test_two_steps_run_beside_each_other_if_they_have_nothing_in_common(makefile: str, together: list[str]) -> None:
    w = Beside(makefile, a="1", b="1")
    w.edit("a", "2")
    w.build()
    assert w.replayed
    assert w.together == together
