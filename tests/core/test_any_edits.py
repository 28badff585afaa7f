"""After any edits the tree is what a clean build makes of the same sources, and the build after that runs nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.world import World

COMPILED = """
dir = () : mkdir(d)
gen.h: first(gen.in)
d/a.o: a.c ?near.h gen.h
d/b.o: b.c gen.h $(FLAVOUR)
one = log+: d/a.o
two = log+: d/b.o
prog: d/a.o d/b.o
strip = prog: prog
lock = () : chmod(prog)
make sub:
  list: ls(d)
  x: prog ?d/b.o
  make deep:
    y: x $(FLAVOUR)
  clean = () : rm(x)
last: list log y
"""
MOVED = """
t.tmp: first(a.c) ?near.h
move = () : mv(t.tmp,t)
link = () : ln(t,u)
strip = v: u
make sub:
  cc = p: v gen.in
  strip2 = p: p b.c
  between: p $(FLAVOUR)
  strip3 = p: p $(FLAVOUR)
lock = () : chmod(p)
use: p between
unlink = () : rm(u)
"""
APPENDED = """
shell version: gen.in
make sub:
  x y: first(a.c)
  make low:
    one = log+: x
    two = log+: b.c
  mid: log first(gen.in)
three = log+: y mid
pack: log ?near.h
clean = () : rm(y)
"""
SOURCES = ["gen.in", "a.c", "b.c", "near.h"]
PRODUCTS = ["gen.h", "d/a.o", "log", "prog", "t", "u", "p", "x", "last", "list"]
THINGS = st.sampled_from(["edit", "edit", "touch", "remove", "spoil", "env"])
SOME = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # other programs may be at work
)
EDITS = st.tuples(THINGS, st.sampled_from(SOURCES + PRODUCTS), st.integers(0, 3))


@pytest.mark.parametrize("store", [False, True], ids=["", "store"])
@pytest.mark.parametrize("makefile", [COMPILED, MOVED, APPENDED])
def test_after_any_edits_the_tree_is_what_a_clean_build_makes(makefile: str, store: bool) -> None:
    """World.build compares."""

    @SOME
    @given(st.lists(st.lists(EDITS, max_size=3), max_size=4))
    def holds(history: list[list[tuple[str, str, int]]]) -> None:
        w = World(makefile, store=store, gen_in="g 0", a_c="0", b_c="0")
        w.build()
        for edits in history:
            for each in edits:
                change(w, *each)
            w.build()
            assert w.code == 0
            assert (w.build(), w.restored) == ("", [])

    holds()


def change(w: World, verb: str, name: str, number: int) -> None:
    """One thing that a person does; what can't be done is not."""
    if verb == "env":
        w.env["FLAVOUR"] = str(number)
    elif verb == "edit" and name in SOURCES:
        w.edit(name, f"{number % 2} {number // 2}")
    elif not w.there(name):
        return
    elif verb == "touch":
        w.touch(name)
    elif verb == "remove" and (name == "near.h" or name not in SOURCES):
        w.remove(name)
    elif verb == "spoil" and name not in SOURCES:
        w.spoil(name, f"spoiled {number}")
