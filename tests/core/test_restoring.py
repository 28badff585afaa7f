"""Steps whose results are kept are restored instead of run: a few lines of steps, an edit, which ran."""

from __future__ import annotations

import pytest

from core.world import World

pytestmark = pytest.mark.usefixtures("both_ways")

PROG = """
a.o: a.c a.h
b.o: b.c a.h
prog: a.o b.o
"""


def prog(makefile: str = PROG) -> World:
    w = World(makefile, store=True, a_c="a", b_c="b", a_h="h")
    w.build()
    return w


def test_an_edit_taken_back_restores_what_it_changed() -> None:
    w = prog()
    w.edit("a.c", "other")
    assert (w.build(), w.restored) == ("a.o prog", [])
    w.edit("a.c", "a")
    assert (w.build(), w.restored) == ("", ["a.o", "prog"])
    assert (w.build(), w.restored) == ("", [])


def test_deleted_and_spoiled_products_come_back() -> None:
    w = prog()
    w.remove("a.o", "prog")
    w.spoil("b.o")
    assert (w.build(), w.restored) == ("", ["a.o", "b.o", "prog"])


def test_a_restored_step_says_what_it_said() -> None:
    w = prog()
    w.remove("a.o")
    w.build()
    assert w.answers["a.o"] == b"a.o says so"


def test_what_is_damaged_in_the_store_is_made_again() -> None:
    w = prog()
    assert w.store is not None
    w.store.lost.update(w.store.kept)
    w.remove("a.o")
    assert (w.build(), w.restored) == ("a.o", [])


def test_without_a_store_nothing_is_restored() -> None:
    w = prog()
    w.store = None
    w.remove("a.o")
    assert w.build() == "a.o"


def test_everything_runs_where_that_is_asked_for() -> None:
    w = prog()
    w.settings = lambda engine: setattr(engine, "forced", True)
    w.remove("a.o")
    assert (w.build(), w.restored) == ("a.o b.o prog", [])


def test_a_step_that_fails_or_is_not_fully_seen_is_not_kept() -> None:
    w = World("a: x unseen(static)", store=True, x="x")
    w.build()
    w.remove("a")
    assert (w.build(), w.restored) == ("a", [])


def test_a_chain_of_versions_is_restored_link_by_link() -> None:
    w = World("x: a\nstrip = x: x b\nsign = x: x\nuse: x", store=True, a="1", b="1")
    w.build()
    w.edit("b", "2")
    assert (w.build(), w.restored) == ("strip sign use", ["x"])
    w.edit("b", "1")
    assert (w.build(), w.restored) == ("", ["x", "strip", "sign", "use"])


def test_a_version_that_is_due_again_is_put_back_and_nothing_runs_for_it() -> None:
    """`x` as it was before it was stripped: the step that reads it so is new, the ones before and behind are not."""
    w = World("x: a\npeek: x b\nstrip = x: x", store=True, a="1", b="1")
    w.build()
    w.edit("b", "2")
    assert w.build() == "peek"
    assert w.text("x") != ""


def test_what_a_later_run_left_besides_goes_when_an_earlier_one_is_restored() -> None:
    """A step that makes one file more since an edit: the edit taken back, that file is gone."""
    w = World("a: x\nextra = b: ?more", store=True, x="1")
    w.build()
    before = set(w.files.nodes)
    w.edit("more", "m")
    w.build()
    w.remove("more")
    w.build()
    assert set(w.files.nodes) == before


def test_a_mode_that_a_step_set_is_set_again_behind_a_restored_file() -> None:
    w = World("x: a\nlock = () : chmod(x)", store=True, a="1")
    w.build()
    w.remove("x")
    assert (w.build(), w.restored) == ("lock", ["x"])


def test_directories_and_links_are_restored() -> None:
    w = World("dir = () : mkdir(d)\nin = d/a: a\nlink = () : symlink(d/a,l)\nuse: l", store=True, a="1")
    w.build()
    w.remove("l", "d/a", "d")
    w.build()
    assert not w.ran
    assert w.restored[:2] == ["dir", "in"]


def test_steps_below_a_make_are_restored_one_by_one() -> None:
    w = World("make sub:\n  a.o: a.c\n  b.o: b.c\nall: a.o b.o", store=True, a_c="a", b_c="b")
    w.build()
    w.remove("a.o")
    assert (w.build(), w.restored) == ("sub", ["a.o"])


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_restored_is_current_in_the_next_build(times: int) -> None:
    w = prog()
    for _ in range(times):
        w.edit("a.h", "other")
        w.build()
        w.edit("a.h", "h")
        assert w.build() == ""
    assert (w.build(), w.restored) == ("", [])
