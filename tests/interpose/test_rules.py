"""By which prerequisites' times a make process decides: those of targets that were there before it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hashmake.run.view import HIDDEN, HIDE, PRESENT, TIME

if TYPE_CHECKING:
    from pathlib import Path

    from . import harness

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is needed")


def decides(run: harness.RunDirectory, work: Path, text: str, hidden: tuple[str, ...] = (), **made: int) -> list[str]:
    """What make tells, run on a makefile; `made`: files and the moments at which they were made, before it."""
    (work / "Makefile").write_text(text)
    entries: dict[str | Path, int] = {work / name: HIDDEN for name in hidden}
    entries |= {work / name: moment << 3 | PRESENT for name, moment in made.items()}
    run.make_view(entries, flags=HIDE | TIME, seq=5)
    run.run("make", "-s", cwd=work)
    told = run.trace().texts("T")
    assert told.pop() in (".", "?")
    return sorted(t.removeprefix(f"{work}/") for t in told)


def test_of_a_source_with_a_rule_it_is_what_the_rule_names(run: harness.RunDirectory, work: Path) -> None:
    """A shipped parser; what has no rule, and what is not there yet, is made whatever the times say."""
    for name in ("parser.y", "rules", "parser.c", "main.c"):
        (work / name).write_text("")
    text = "all: prog\nprog: main.c parser.c\n\ttouch prog\nparser.c: parser.y | rules\n\ttouch parser.c\n"
    assert decides(run, work, text, hidden=("prog",)) == ["parser.y", "rules"]


def test_rules_that_make_finds_itself_count_too(run: harness.RunDirectory, work: Path) -> None:
    (work / "a.y").write_text("")
    (work / "a.c").write_text("")
    text = "all: a.o\n%.o: %.c\n\ttouch $@\n%.c: %.y\n\ttouch $@\n"
    assert decides(run, work, text, hidden=("a.o",)) == ["a.y"]


def test_so_do_all_rules_of_a_double_colon_target(run: harness.RunDirectory, work: Path) -> None:
    for name in ("one", "two", "out"):
        (work / name).write_text("")
    assert decides(run, work, "out:: one\n\ttouch out\nout:: two\n\ttouch out\n") == ["one", "two"]


def test_of_products_only_those_that_were_made_before_it(run: harness.RunDirectory, work: Path) -> None:
    """By another make of the same build, or another goal: this one compares times."""
    for name in ("in", "hidden", "early", "late"):
        (work / name).write_text("")
    text = (
        "all: hidden early late\nhidden: in h\n\ttouch hidden\nearly: in e\n\ttouch early\nlate: in l\n\ttouch late\n"
    )
    for name in "hel":
        (work / name).write_text("")
    assert decides(run, work, text, hidden=("hidden",), early=5, late=6) == ["e", "in"]


def test_what_is_phony_or_depends_on_that_is_made_in_any_case(run: harness.RunDirectory, work: Path) -> None:
    """As `FORCE` of Kbuild, and targets that are named like directories."""
    for name in ("in", "out"):
        (work / name).write_text("")
    (work / "dir").mkdir()
    text = "all: dir out\ndir: in\n\t@:\nout: in FORCE\n\ttouch out\nFORCE:\n.PHONY: all dir FORCE\n"
    assert decides(run, work, text) == []


def test_a_rule_without_commands_decides_nothing(run: harness.RunDirectory, work: Path) -> None:
    for name in ("in", "out"):
        (work / name).write_text("")
    assert decides(run, work, "out: in\n") == []


def test_names_that_can_not_be_told_are_said_not_to_be_known(run: harness.RunDirectory, work: Path) -> None:
    for name in ("in", "an out"):
        (work / name).write_text("")
    decides(run, work, "an\\ out: in\n\ttouch 'an out'\n")
    assert run.trace().texts("T")[-1] == "?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all:\n\t@true x; true\n\ttrue y; true\n\ttrue z\n", False),
        ("all:\n\t@$(MAKE) -C sub\n", False),
        ("$(info configured)\nall:\n\t@true x; true\n", True),
        ("all:\n\t@true x; true $(info late)\n", True),
        ("$(warning careful)\nall:\n\t@true x; true\n", True),
        ("all:\n", True),  # nothing to be done
    ],
)
def test_make_tells_whether_it_printed_something_of_its_own(
    launched: harness.RunDirectory, work: Path, text: str, said: bool
) -> None:
    """Else nobody could say it in its place: that it enters a directory, and which commands it starts, is known."""
    (work / "sub").mkdir()
    (work / "sub" / "Makefile").write_text("all:\n\t@true; true\n")
    (work / "Makefile").write_text(text)
    launched.run("make", cwd=work)
    assert bool(launched.trace().texts("O")) == said
