"""make's command line, read but never changed."""

from __future__ import annotations

import pytest

from hashmake.model.makeargs import MakeArguments


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
    """-I, -r, -e, -i may change what is made."""
    assert MakeArguments(["-rR", "-I", "inc", "-e"]).meaning == ["-r", "-R", "-Iinc", "-e"]


def test_files_that_are_to_count_as_new_or_old() -> None:
    """-W and -o by all their names."""
    a = MakeArguments(
        ["-Wa", "-W", "b", "--what-if=c", "--new-file", "d", "--assume-new=e", "-o", "f", "--assume-old=g"]
    )
    assert (a.new_files, a.old_files, a.meaning) == (["a", "b", "c", "d", "e"], ["f", "g"], [])


def test_any_beginning_of_a_long_option_stands_for_it() -> None:
    """getopt_long takes what is no other option's beginning, or only that of options of one meaning."""
    for word in ("--dry", "--just", "--rec", "--dry-ru"):
        assert MakeArguments([word]).dry_run, word
    assert MakeArguments(["--ques"]).question
    assert MakeArguments(["--alw"]).always_make
    assert MakeArguments(["--direc=sub"]).directories == ["sub"]
    assert MakeArguments(["--makef", "m"]).makefiles == ["m"]
    assert MakeArguments(["--no"]).meaning == ["--no"]


@pytest.mark.parametrize("flags", ["n", "-n", "kn", " -j2 -n", "--dry-run", "n -- A=1"])
def test_options_in_the_environment_are_read_first(flags: str) -> None:
    """MAKEFLAGS=n is a dry run; its variables are the environment's."""
    a = MakeArguments(["all"], flags)
    assert a.dry_run
    assert a.no_build
    assert (a.goals, a.variables, a.meaning) == (["all"], [], [])
    assert not MakeArguments(["all"], " -- n=1").dry_run


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
