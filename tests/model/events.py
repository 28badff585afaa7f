"""What may happen to a project between two builds, as values that Hypothesis can draw and shrink."""

from __future__ import annotations

import copy
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from .project import GOALS, HEADERS, KINDS, LINK, Directory, Unit
from .workshop import _remove, fresh_unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from .workshop import Workshop

STYLES = ("write", "rename", "keep-date")
FAULTS = ("all", "torn-all", "make", "torn-make", "launcher", "torn-launcher", "self", "torn-self", "int")


@dataclass(frozen=True)
class Event:
    """What happens, and three numbers that say to what; each handler takes them modulo what there is."""

    what: str
    a: int = 0
    b: int = 0
    c: int = 0

    def __str__(self) -> str:
        return f"{self.what}({self.a}, {self.b}, {self.c})"


def projects() -> st.SearchStrategy[dict[str, Directory]]:
    """Projects of up to three directories."""
    unit = st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 63), st.integers(0, 15))
    directory = st.tuples(st.lists(unit, min_size=1, max_size=4), st.booleans())
    return st.builds(_project, directory, st.lists(directory, max_size=2))


def _project(
    top: tuple[list[tuple[str, int, int]], bool], subs: list[tuple[list[tuple[str, int, int]], bool]]
) -> dict[str, Directory]:
    found = {}
    number = 0
    for name, (units, pattern) in zip(("", "s0", "s1"), (top, *subs), strict=False):
        directory = Directory(pattern=pattern)
        for kind, variant, uses in units:
            directory.units.append(fresh_unit(kind, number, variant, uses))
            number += 1
        found[name] = directory
    return found


def events() -> st.SearchStrategy[list[Event]]:
    """A history; edits and builds more often than the rest."""
    weighted = [name for name, (_, weight) in HAPPENINGS.items() for _ in range(weight)]
    event = st.builds(Event, st.sampled_from(weighted), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
    return st.lists(event, min_size=1, max_size=12)


def happen(shop: Workshop, event: Event) -> None:
    """Let it happen."""
    shop.story.append(str(event))
    HAPPENINGS[event.what][0](shop, event)


# ---- sources -------------------------------------------------------------------------------------------------------


def _files(shop: Workshop) -> list[str]:
    return sorted(path for path, text in shop.on_disk.items() if not text.startswith(LINK))


def _note(shop: Workshop, text: str) -> None:
    shop.story[-1] += f": {text}"


def _edit(shop: Workshop, event: Event) -> None:
    """Change the content of a source."""
    files = [path for path in _files(shop) if not path.endswith("Makefile")]
    path = files[event.a % len(files)]
    shop.versions[path] = event.b
    shop.sync(STYLES[event.c % 3])
    _note(shop, f"{path} version {event.b}")


def _comment(shop: Workshop, event: Event) -> None:
    """Change what most steps do not look at."""
    files = _files(shop)
    path = files[event.a % len(files)]
    shop.comments[path] = event.b
    shop.sync(STYLES[event.c % 3])
    _note(shop, f"{path} comment {event.b}")


def _break(shop: Workshop, event: Event) -> None:
    """An error in a C source, or the last one mended."""
    if shop.broken and event.b % 3:
        shop.broken.clear()
    else:
        files = [path for path in _files(shop) if path.endswith((".c", ".h"))]
        shop.broken.add(files[event.a % len(files)])
    shop.sync("write")
    _note(shop, f"{sorted(shop.broken)}")


def _snapshot(shop: Workshop, event: Event) -> None:
    """Remember the sources as they are."""
    shop.snapshots.append((copy.deepcopy(shop.directories), dict(shop.versions), dict(shop.comments)))


def _revert(shop: Workshop, event: Event) -> None:
    """Back to the sources as they were (a branch is switched)."""
    if not shop.snapshots:
        return
    directories, versions, comments = copy.deepcopy(shop.snapshots[event.a % len(shop.snapshots)])
    if directories != shop.directories:
        shop.whole = False
    shop.directories, shop.versions, shop.comments = directories, versions, comments
    shop.broken.clear()
    shop.sync(STYLES[event.c % 3])


def _place(shop: Workshop, event: Event) -> Directory:
    places = sorted(shop.directories)
    return shop.directories[places[event.a % len(places)]]


def _add(shop: Workshop, event: Event) -> None:
    """A new unit: other rules, other sources."""
    numbers = [int(unit.name[1:]) for directory in shop.directories.values() for unit in directory.units]
    unit = fresh_unit(sorted(KINDS)[event.b % len(KINDS)], max(numbers, default=0) + 1, event.c * 7, event.c)
    _place(shop, event).units.append(unit)
    shop.whole = False
    shop.sync("write")
    _note(shop, str(unit))


def _drop(shop: Workshop, event: Event) -> None:
    """A unit goes; its products stay behind."""
    units = _place(shop, event).units
    if units:
        _note(shop, str(units.pop(event.b % len(units))))
        shop.sync("write")


def _change(shop: Workshop, event: Event) -> None:
    """A unit takes another form or another kind: its name, and so perhaps its products' names, stay."""
    units = _place(shop, event).units
    if units:
        at = event.b % len(units)
        units[at] = _other(units[at], event.c)
        shop.whole = False
        shop.sync("write")
        _note(shop, str(units[at]))


def _other(unit: Unit, number: int) -> Unit:
    if number % 3 == 0:
        return replace(unit, uses=unit.uses ^ (1 + number % 7))
    return replace(unit, variant=unit.variant ^ (1 << number % 6))


def _shadow(shop: Workshop, event: Event) -> None:
    """A header that is found earlier on the include path than its namesake, or its removal."""
    places = sorted(shop.directories)
    place = places[event.a % len(places)]
    name = HEADERS[event.b % len(HEADERS)]
    path = f"{place}/{name}" if place else name
    if path in shop.shadows:
        shop.shadows.discard(path)
    else:
        shop.shadows.add(path)
    shop.sync("write")
    _note(shop, path)


# ---- the tree ------------------------------------------------------------------------------------------------------


def _products(shop: Workshop) -> list[str]:
    return sorted(path for path in shop.products if os.path.lexists(shop.tree / path))


def _lose(shop: Workshop, event: Event) -> None:
    """A product is deleted."""
    products = _products(shop)
    if products:
        path = products[event.a % len(products)]
        _remove(shop.tree / path)
        shop.settled = None
        _note(shop, path)


def _damage(shop: Workshop, event: Event) -> None:
    """Something else writes a product."""
    products = [path for path in _products(shop) if not (shop.tree / path).is_dir()]
    if products:
        path = products[event.a % len(products)]
        if event.b % 3 == 0 or (shop.tree / path).is_symlink():  # what a link leads to is a source
            (shop.tree / path).unlink()
        # A comment, so that make can still read it where it is a makefile: that of another goal can't be hidden.
        (shop.tree / path).write_text(f"# damaged {event.c}\n")
        shop.settled = None
        _note(shop, path)


def _touch(shop: Workshop, event: Event) -> None:
    """One file gets a date, as touch gives it."""
    paths = sorted(shop.on_disk.keys() | set(_products(shop)))
    path = paths[event.a % len(paths)]
    if (shop.tree / path).exists():
        os.utime(shop.tree / path)
        _note(shop, path)


def _scramble(shop: Workshop, event: Event) -> None:
    """Every file gets a date."""
    shop.scramble(event.a)


def _forget(shop: Workshop, event: Event) -> None:
    """The state is deleted, and the products with it, as a person does who wants to be sure."""
    shutil.rmtree(shop.tree / ".hashmake", ignore_errors=True)
    for path in _products(shop):
        _remove(shop.tree / path)
    shop.last.clear()
    shop.settled = None
    shop.whole = False


# ---- builds --------------------------------------------------------------------------------------------------------


def _request(event: Event) -> tuple[tuple[str, ...], dict[str, str]]:
    goal = GOALS[event.a % len(GOALS)] if event.a > 8 else ""
    words = (goal,) if goal else ()
    if event.b % 7 == 6:
        words = ("-s", *words)
    variables = {}
    if event.b % 5 == 4:
        variables["MODE"] = "special"
    if event.b % 4 == 3:
        variables["FLAVOUR"] = "sweet"
    return words, variables


def _build(shop: Workshop, event: Event) -> None:
    """A build, judged."""
    words, variables = _request(event)
    shop.build(words, variables, 1 + 2 * (event.c % 2))


def _elsewhere(shop: Workshop, event: Event) -> None:
    """A build of another checkout, which was never built, or was."""
    words, variables = _request(event)
    shop.build_elsewhere(words, variables, 1 + 2 * (event.c % 2), afresh=event.c % 4 < 2)


def _stock(shop: Workshop, event: Event) -> None:
    """Stock make in the same tree. It may do what it likes with products that hashmake knows."""
    if shop.whole:
        words, variables = _request(event)
        shop.make(words, variables)


def _fault(shop: Workshop, event: Event) -> None:
    """A build that is killed or interrupted at the a-th run."""
    words, variables = _request(replace(event, a=0))
    fault = f"{1 + event.a % 12} {FAULTS[event.c % len(FAULTS)]}"
    _note(shop, fault)
    shop.build(words, variables, 1 + 2 * (event.b % 2), fault)


HAPPENINGS: dict[str, tuple[Callable[[Workshop, Event], None], int]] = {
    "build": (_build, 8),
    "edit": (_edit, 6),
    "comment": (_comment, 3),
    "lose": (_lose, 2),
    "damage": (_damage, 2),
    "scramble": (_scramble, 2),
    "change": (_change, 2),
    "add": (_add, 1),
    "drop": (_drop, 1),
    "shadow": (_shadow, 1),
    "break": (_break, 1),
    "snapshot": (_snapshot, 1),
    "revert": (_revert, 2),
    "touch": (_touch, 1),
    "forget": (_forget, 1),
    "stock": (_stock, 2),
    "fault": (_fault, 2),
    "elsewhere": (_elsewhere, 2),
}
