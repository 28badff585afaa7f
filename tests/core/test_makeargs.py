"""make's command line, read but never changed."""

from __future__ import annotations

import pytest

from hashmake.makeargs import MakeArguments


def test_goals_variables_and_directories_are_told_apart() -> None:
    """As make reads them."""
    a = MakeArguments(["-j8", "-C", "src", "O=out", "V=1", "bzImage", "modules", "-f", "my.mk", "--", "-odd"])
    assert a.goals == ["bzImage", "modules", "-odd"]
    assert a.variables == ["O=out", "V=1"]
    assert a.directories == ["src"]
    assert a.makefiles == ["my.mk"]
    assert a.meaning == []


@pytest.mark.parametrize(
    "words", [["-j", "8"], ["-j8"], ["-sk"], ["-Otarget"], ["-l", "2.5"], ["--jobs=3"], ["-w"], ["--output-sync=line"]]
)
def test_options_that_only_change_how_it_is_printed_or_scheduled_have_no_meaning(words: list[str]) -> None:
    """-j, -s, -k, -O, -l, -w run nothing."""
    a = MakeArguments([*words, "all"])
    assert a.meaning == []
    assert a.goals == ["all"]


def test_options_with_meaning_are_kept_in_order() -> None:
    """-I, -r, -e, -i, -W may change what is made."""
    assert MakeArguments(["-rR", "-I", "inc", "-e", "-W", "a.c"]).meaning == ["-r", "-R", "-Iinc", "-e", "-Wa.c"]


def test_modes_are_seen() -> None:
    """-n -q -t -v -h do not build; -B forces; -d and --trace want make's own output."""
    assert MakeArguments(["-n"]).no_build
    assert MakeArguments(["--dry-run"]).dry_run
    assert MakeArguments(["-q"]).question
    assert MakeArguments(["-Bk"]).always_make
    assert MakeArguments(["--trace"]).evaluate
    assert MakeArguments(["-d"]).evaluate
    assert MakeArguments(["-s"]).silent
    assert not MakeArguments(["all"]).no_build


def test_always_make_can_be_taken_out() -> None:
    """Only -B goes."""
    assert MakeArguments(["-Bj2", "-B", "--always-make", "X=B", "all"]).without_always_make() == ["-j2", "X=B", "all"]
