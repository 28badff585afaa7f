"""What is special in make: children go to the launcher, and the echo of a command is handed over with it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from . import harness

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is needed")


def make(run: harness.RunDirectory, work: Path, text: str, *options: str) -> list[str]:
    """Run make on a makefile and give the lines of both its outputs, in order."""
    (work / "Makefile").write_text(text)
    command = ["make", *options]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    result = subprocess.run(command, cwd=work, env=run.environment(), text=True, check=False, **streams)  # type: ignore[call-overload]
    return str(result.stdout).splitlines()


def test_the_echo_goes_with_the_command(launched: harness.RunDirectory, work: Path) -> None:
    """A shell line as it stands, a direct command as text, a silent one with nothing."""
    text = "all:\n\techo one; echo two\n\techo 'three  3'\n\t@echo silent\n\techo a \\\n\t  b; true\n"
    assert make(launched, work, text) == [
        "[R=|/bin/sh|/bin/sh|-c|echo one; echo two|]",
        "[RT|echo 'three  3'|/usr/bin/echo|echo|three  3|]",
        "[R-|/usr/bin/echo|echo|silent|]",
        "[R=|/bin/sh|/bin/sh|-c|echo a \\",
        "  b; true|]",
    ]


def test_other_text_stays_in_order(launched: harness.RunDirectory, work: Path) -> None:
    """Messages, warnings on the other stream and the last line before the end come out where make put them."""
    text = "$(info first)\n$(warning second)\n$(info third)\n$(info last)\n"
    text += "all:\n\t@$(info fourth):\n\t$(info fifth)echo x; true\n"
    assert make(launched, work, text) == [
        "first", "Makefile:2: second", "third", "last", "fourth", "fifth", "[R=|/bin/sh|/bin/sh|-c|echo x; true|]",
    ]  # fmt: skip


def test_a_shell_function_is_no_recipe(launched: harness.RunDirectory, work: Path) -> None:
    """Its output is a pipe to make, not a pipe that make was given."""
    text = "x := $(shell echo found; true)\nall:\n\t@echo $(x); true\n"
    assert make(launched, work, text) == ["[R-|/bin/sh|/bin/sh|-c|echo <F->found; true|]"]


def test_a_missing_program_is_reported_by_make(launched: harness.RunDirectory, work: Path) -> None:
    """The launcher is not started for nothing, and the echo is printed."""
    out = make(launched, work, "all:\n\tno-such-program-anywhere\n")
    assert out[0] == "no-such-program-anywhere"
    assert out[1].startswith("make: no-such-program-anywhere: No such file")


@pytest.mark.parametrize("option", ["-Oline", "-Otarget", "-Orecurse", "-Onone"])
def test_synchronised_output_is_held_back_too(option: str, launched: harness.RunDirectory, work: Path) -> None:
    """With -O the echo goes through a file; nothing is lost on that way, whatever follows it."""
    text = "all:\n\techo one; true\n\t$(info said)@true; true\n\t@$(info quiet):\n\techo two; true\n"
    assert make(launched, work, text, option, "-j2") == [
        "said",  # all lines of a recipe are expanded before the first is run
        "quiet",
        "[R=|/bin/sh|/bin/sh|-c|echo one; true|]",
        "[R-|/bin/sh|/bin/sh|-c|true; true|]",
        "[R=|/bin/sh|/bin/sh|-c|echo two; true|]",
    ]


@pytest.mark.parametrize("jobs", ["-j1", "-j2"])
def test_lines_of_a_recipe_have_a_number_in_common(jobs: str, launched: harness.RunDirectory, work: Path) -> None:
    """And those that are not its first are marked: make uses the number again for other recipes."""
    text = "all: a b\na b:\n\t@echo 1 $@\n\t@:\n\t@echo 2 $@; true\n\t@-echo 3 $@\n"
    (work / "Makefile").write_text(text)
    environment = launched.environment() | {"RECIPES": "1"}
    run = subprocess.run(["make", jobs], cwd=work, env=environment, capture_output=True, text=True, check=True)
    words = run.stdout.split()
    assert len(words) == 6
    assert sum(not word.endswith("+") for word in words) == 2
    numbers = [word.rstrip("+") for word in words]
    assert all(numbers.count(number) in (3, 6) for number in numbers)
    if jobs == "-j1":
        assert [word.endswith("+") for word in words] == [False, True, True] * 2


def test_make_without_a_launcher_is_left_alone(run: harness.RunDirectory, work: Path) -> None:
    """Nothing to start instead: commands run as they are."""
    assert make(run, work, "all:\n\techo one; true\n") == ["echo one; true", "one"]


def test_make_announces_itself(launched: harness.RunDirectory, work: Path) -> None:
    """And waits for the answer before it looks at anything."""
    make(launched, work, "all:\n")
    assert [text[:8] for kind, text in launched.asked if kind == "M"] == [b"\1" + bytes(7)]
    assert launched.trace().texts("P")
    assert "k" in {record.kind for record in launched.trace().records}
    assert not {record.kind for record in launched.trace().records} & set("sla")


@pytest.mark.parametrize("redirect", [">&-", ">/dev/full", "| cat"])
def test_closed_and_full_outputs_end_as_without_us(redirect: str, launched: harness.RunDirectory, work: Path) -> None:
    """make reports what it could not write."""
    (work / "Makefile").write_text("$(info hello)\nall:\n")
    command = f"make {redirect}; echo $?"
    plain = subprocess.run(["sh", "-c", command], cwd=work, capture_output=True, text=True, check=True)
    ours = subprocess.run(
        ["sh", "-c", command], cwd=work, env=launched.environment(), capture_output=True, text=True, check=True
    )
    assert ours.stdout == plain.stdout
    assert ours.stderr.startswith(plain.stderr.rstrip())  # the full disk is noticed later, and so named
