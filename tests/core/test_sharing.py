"""What trees say to each other: paths relative to their roots, and what a step left where it looked."""

from __future__ import annotations

import pytest

from core.world import World
from hashmake.model.roots import Roots
from hashmake.model.shared import Left, Questions, asked, question

HERE = Roots(b"/home/me/linux", b"/home/me/out")
THERE = Roots(b"/srv/ci/1/src", b"/srv/ci/1/src/build")


@pytest.mark.parametrize(
    ("path", "there"),
    [
        (b"/home/me/linux/kernel/fork.c", [b"/srv/ci/1/src/kernel/fork.c"]),
        (b"/home/me/out/kernel/fork.o", [b"/srv/ci/1/src/build/kernel/fork.o"]),
        (b"/home/me/linux", [b"/srv/ci/1/src"]),
        (b"/usr/include/stdio.h", [b"/usr/include/stdio.h"]),
        (b"/opt/tool", [b"/opt/tool"]),
        (b"uname", [b"uname"]),
        # Beside the roots or above them: what has that name, and what lies so to the other tree.
        (b"/home/me/linux2/a", [b"/home/me/linux2/a", b"/srv/ci/1/linux2/a"]),
        (b"/home/me/.git", [b"/home/me/.git", b"/srv/ci/1/.git"]),
        (b"/home/.git", [b"/home/.git", b"/srv/ci/.git"]),
    ],
)
def test_a_path_means_the_same_in_another_tree(path: bytes, there: list[bytes]) -> None:
    assert THERE.path_out(HERE.path_in(path)) == there
    assert HERE.path_out(HERE.path_in(path)) == [path]


def test_a_place_that_is_not_there_is_none() -> None:
    deep = Roots(b"/a/b/c/d", b"/a/b/c/d")
    assert Roots(b"/x/y", b"/x/y").path_out(deep.path_in(b"/a/else")) == []
    assert HERE.path_out(b"\3X\3nonsense") == []


def test_the_inner_root_counts_where_one_lies_in_the_other() -> None:
    both = Roots(b"/w/src", b"/w/src/out")
    assert both.path_out(both.path_in(b"/w/src/out/a")) == [b"/w/src/out/a"]
    assert HERE.path_out(both.path_in(b"/w/src/out/a")) == [b"/home/me/out/a"]


@pytest.mark.parametrize(
    ("text", "there"),
    [
        (
            b"gcc -I/home/me/linux/include -o /home/me/out/a.o",
            b"gcc -I/srv/ci/1/src/include -o /srv/ci/1/src/build/a.o",
        ),
        (b"cd /home/me/linux; /home/me/linux2/x", b"cd /srv/ci/1/src; /home/me/linux2/x"),
        (b"/home/me/linux-6.1 /home/me/linux.old", b"/home/me/linux-6.1 /home/me/linux.old"),
        (b"A=/home/me/linux:/home/me/out", b"A=/srv/ci/1/src:/srv/ci/1/src/build"),
    ],
)
def test_a_text_names_the_other_trees_roots(text: bytes, there: bytes) -> None:
    assert THERE.text_out(HERE.text_in(text)) == there
    assert HERE.text_out(HERE.text_in(text)) == text


def test_tools_in_the_path_are_where_they_are() -> None:
    """A toolchain in the home directory is no part of a tree beside it; a tree's own tools are."""
    roots = Roots(b"/home/me/p/src", b"/home/me/p/src", b"/home/me/x/bin:/home/me/p/bin:/home/me/p/src/tools::bin:/")
    there = Roots(b"/srv/p/src", b"/srv/p/src")
    assert there.path_out(roots.path_in(b"/home/me/x/lib/gcc/cc1")) == [b"/home/me/x/lib/gcc/cc1"]
    assert there.path_out(roots.path_in(b"/home/me/p/bin/tool")) == [b"/home/me/p/bin/tool"]
    assert there.path_out(roots.path_in(b"/home/me/p/lib/a.h")) == [b"/home/me/p/lib/a.h", b"/srv/p/lib/a.h"]
    assert there.path_out(roots.path_in(b"/home/me/p/src/tools/t")) == [b"/srv/p/src/tools/t"]


def test_what_a_root_lies_in_lies_above_it() -> None:
    assert HERE.above(b"/home/me")
    assert HERE.above(b"/home")
    assert not HERE.above(b"/home/me/linux")
    assert not HERE.above(b"/home/m")


def test_a_root_at_the_top_is_nothing_that_could_be_told_apart() -> None:
    assert HERE.usable
    assert not Roots(b"/", b"/home/me/out").usable


def test_what_is_told_comes_back() -> None:
    asks = Questions(b"A=1\0B", [question(7, b"/a", b""), question(9, b"\3S\3/conf", b"CONFIG_X")])
    assert Questions.unpack(Questions.packed(asks.env, b"\0".join(asks.asked))) == asks
    assert [asked(each) for each in asks.asked] == [(7, b"/a", b""), (9, b"\3S\3/conf", b"CONFIG_X")]
    left = Left(0, 3, 1234, [(b"\3O\3/a.o", b"", b"F-123", 0o100644)], b"out", b"")
    assert Left.unpack(left.pack()) == left


def test_damage_is_noticed() -> None:
    asks = Questions.packed(b"A=1", question(7, b"/a", b""))
    left = Left(0, 3, 1, [(b"a", b"", b"b", 1)], b"", b"").pack()
    for at in range(len(asks)):
        with pytest.raises(ValueError, match=r"."):
            Questions.unpack(asks[:at])
    for bad in (b"", b"\0", b"/a", b"G"):
        with pytest.raises(ValueError, match=r"."):
            asked(bad)
    for at in range(len(left)):
        for bad in (left[:at], left[:at] + bytes([left[at] ^ 1]) + left[at + 1 :]):
            with pytest.raises(ValueError, match=r"."):
                Left.unpack(bad)


PROG = "a.o: a.c a.h\nb.o: b.c a.h\nprog: a.o b.o"


def fresh(old: World, makefile: str = PROG) -> World:
    """The same tree with no recording, as far as sources go, and the same store."""
    w = World(makefile, store=True)
    for path, text in old.sources.items():
        w.edit("/" + path.decode().lstrip("/"), text)
    assert w.store is not None
    assert old.store is not None
    w.store.kept, w.store.notes = old.store.kept, old.store.notes
    return w


def test_a_tree_without_a_recording_finds_what_another_has_built() -> None:
    w = World(PROG, store=True, a_c="a", b_c="b", a_h="h")
    w.build()
    again = fresh(w)
    assert (again.build(), again.restored) == ("", ["a.o", "b.o", "prog"])
    assert (again.build(), again.restored) == ("", [])


def test_only_what_is_the_same_is_found() -> None:
    w = World(PROG, store=True, a_c="a", b_c="b", a_h="h")
    w.build()
    again = fresh(w)
    again.edit("a.c", "other")
    assert (again.build(), again.restored) == ("a.o prog", ["b.o"])


def test_what_was_looked_for_in_vain_counts() -> None:
    makefile = "x: a ?b"
    w = World(makefile, store=True, a="a")
    w.build()
    again = fresh(w, makefile)
    again.edit("b", "b")
    assert again.build() == "x"
    third = fresh(again, makefile)
    assert (third.build(), third.restored) == ("", ["x"])


def test_variables_count() -> None:
    makefile = "x: a $(FLAVOUR)"
    w = World(makefile, store=True, a="a")
    w.env["FLAVOUR"] = "1"
    w.build()
    again = fresh(w, makefile)
    again.env["FLAVOUR"] = "2"
    assert again.build() == "x"
    again = fresh(w, makefile)
    again.env.update(FLAVOUR="1", OTHER="3")
    assert (again.build(), again.restored) == ("", ["x"])


def test_a_source_that_changed_while_it_was_read_is_told_to_nobody() -> None:
    makefile = "x: a"
    w = World(makefile, store=True, checked=False, a="a")
    w.after["x"] = lambda: w.edit("a", "b")
    w.build()
    again = fresh(w, makefile)
    again.edit("a", "a")
    assert again.build() == "x"


def test_what_a_shell_function_answered_is_found() -> None:
    makefile = "shell version: a\nx: b"
    w = World(makefile, store=True, a="1.0", b="b")
    w.build()
    again = fresh(w, makefile)
    assert (again.build(), again.restored) == ("", ["x"])
    assert again.answers["version"] == w.answers["version"]
    other = fresh(w, makefile)
    other.edit("a", "2.0")
    assert other.build() == "version"
    assert other.answers["version"] != w.answers["version"]


def test_a_shell_function_that_left_something_or_answered_nothing_has_had_an_effect() -> None:
    for line in ("shell s = made: a", "shell s: fail"):
        w = World(f"{line}\nx: b", store=True, a="a", b="b")
        w.build()
        assert fresh(w, f"{line}\nx: b").build() == "s"


def test_notes_that_make_no_sense_are_passed_over() -> None:
    w = World(PROG, store=True, a_c="a", b_c="b", a_h="h")
    w.build()
    assert w.store is not None
    for notes in w.store.notes.values():
        for name in notes:
            notes[name] = b"nonsense"
    again = fresh(w)
    assert (again.build(), again.restored) == ("a.o b.o prog", [])
