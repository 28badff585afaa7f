"""Options by all their names, logs, state directories in listings, what `why` and the log say."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from hashmake.state.database import Database

from . import tool

if TYPE_CHECKING:
    from .project import Project

COPIES = "prog: a.o b.o\n\tcat a.o b.o > prog\n%.o: %.c\n\tcp $< $@\n"


@pytest.fixture
def built(project: Project) -> Project:
    """Two sources, copied and put together."""
    project.write("Makefile", COPIES)
    project.write("a.c", "a\n")
    project.write("b.c", "b\n")
    project.check(project.build())
    return project


def why(project: Project, path: str, **variables: str) -> str:
    command = tool.verb_command("why", path)
    environment = project.environment | variables
    return subprocess.run(command, cwd=project.tree, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("word", ["--dry", "--just", "--recon"])
def test_a_beginning_of_an_option_is_that_option(built: Project, word: str) -> None:
    built.write("a.c", "A\n")
    assert "cp a.c a.o" in built.attempt(word).out
    assert built.text("a.o") == "a\n"


def test_an_option_in_makeflags_is_one(built: Project) -> None:
    built.write("a.c", "A\n")
    assert "cp a.c a.o" in built.attempt(MAKEFLAGS="n").out
    assert built.text("a.o") == "a\n"
    built.check(built.rebuild())


def test_what_reads_a_file_that_is_assumed_new_runs(built: Project) -> None:
    """-W, also when nothing changed; the next build is null."""
    built.check(built.build("-W", "a.c"))
    assert [step["command"] for step in built.log()["ran"]] == ["cp a.c a.o"]
    built.check_null(built.build())


def test_a_file_that_is_assumed_old_is_left_as_it_is(built: Project) -> None:
    """-o, and the build after it makes up for it."""
    built.write("a.c", "A\n")
    built.write("b.c", "B\n")
    left = built.attempt("-o", "a.o")
    assert left.status == 0
    assert built.text("prog") == "a\nB\n"
    built.check(built.rebuild())
    assert built.text("prog") == "A\nB\n"
    built.check_null(built.build())


def test_twenty_logs_are_kept_though_null_builds_lie_between(built: Project) -> None:
    for number in range(24):
        built.write("a.c", f"{number}\n")
        built.build()
        built.build()
    database = Database(str(built.tree / ".hashmake" / "db"), readonly=True)
    try:
        assert len(database.logs()) == 20
    finally:
        database.close()


def test_the_state_of_another_tree_is_no_name_in_a_listing(project: Project) -> None:
    """Somebody builds in a directory that a step lists."""
    project.write("Makefile", "x:\n\tls -A sub > x\n")
    project.write("sub/Makefile", "y:\n\techo y\n")
    project.check(project.build())
    command = tool.build_command()
    subprocess.run(command, cwd=project.tree / "sub", env=project.environment, check=True, capture_output=True)
    assert (project.tree / "sub" / ".hashmake").is_dir()
    project.check_null(project.build())
    project.write("in", "unread\n")
    project.write("sub/new", "\n")
    project.build()
    assert [step["command"] for step in project.log()["ran"]] == ["ls -A sub > x"]


def test_why_decides_as_a_build_would(project: Project) -> None:
    """It called a step current whose variable had changed, or whose compiler was another one."""
    project.write("Makefile", "x: in\n\techo $$FOO > x; rev in >> x\n")
    project.write("in", "in\n")
    project.build(FOO="1")
    assert "current" in why(project, "x", FOO="1")
    assert "the variable FOO changed: 1 -> 2" in why(project, "x", FOO="2")
    shadow = project.root / "shadow"
    shadow.mkdir()
    path = f"{shadow}:{project.environment['PATH']}"
    assert "current" in why(project, "x", FOO="1", PATH=path)
    (shadow / "rev").write_text("#!/bin/sh\n")
    (shadow / "rev").chmod(0o755)
    assert "stale" in why(project, "x", FOO="1", PATH=path)
    project.write("in", "new\n")
    assert "in changed" in why(project, "x", FOO="1")
    project.lose("x")
    project.write("in", "in\n")
    assert "is missing" in why(project, "x", FOO="1")


def test_steps_of_a_first_build_never_ran_before(project: Project) -> None:
    """Two that write one file, the second is not the first with another command."""
    project.write("Makefile", "x: in\n\tcat in > x\n\techo more >> x\n")
    project.write("in", "in\n")
    project.build()
    assert {step["reason"]["kind"] for step in project.log()["ran"]} == {"NeverRan"}


def test_the_log_tells_when_a_step_ran_and_what_it_took(project: Project) -> None:
    """Start in the build, wall and CPU time, peak memory: enough to draw who waited for whom."""
    project.write("Makefile", "x: in\n\tcat in > x; perl -e '$$i++ while $$i < 300000; $$x = \"a\" x 40000000'\n")
    project.write("in", "in\n")
    project.build()
    (ran,) = project.log()["ran"]
    assert 0 < ran["start_s"] < ran["end_s"] < project.log()["wall_s"]
    assert 0 < ran["cpu_s"] < 10
    assert ran["wall_s"] > 0
    assert 40_000 < ran["peak_kb"] < 1_000_000


def test_a_mode_is_given_again_to_what_was_made_anew(project: Project) -> None:
    """Each line is a step: chmod changes no content, and was current when the line before it had run."""
    project.write(
        "Makefile",
        "all: v w\nv: in\n\trm -f v\n\tcat in > vt\n\tchmod 444 vt\n\tmv vt v\n"
        "w: in\n\tcat in > w\n\ttest ! -e stop\n\tchmod 600 w\n",
    )
    project.write("in", "in\n")
    project.check(project.build())

    def modes() -> list[str]:
        return [oct((project.tree / name).stat().st_mode)[-3:] for name in "vw"]

    assert modes() == ["444", "600"]
    for name in "vw":
        (project.tree / name).unlink()
    project.check(project.rebuild())
    assert modes() == ["444", "600"]
    (project.tree / "w").unlink()
    project.write("stop", "")
    assert project.attempt().status
    project.delete("stop")
    project.check(project.rebuild())
    assert modes() == ["444", "600"]
    assert not project.rebuild("w").runs


def test_a_mode_that_another_goal_gives_is_given_again(project: Project) -> None:
    project.write("Makefile", "x: in\n\tcat in > x\nmode: x\n\tchmod 600 x\n")
    project.write("in", "in\n")
    project.check(project.build())
    project.check(project.build("mode"))
    (project.tree / "x").unlink()
    project.check(project.rebuild())
    project.check(project.rebuild("mode"))
    assert oct((project.tree / "x").stat().st_mode)[-3:] == "600"


def test_why_tells_all_that_changed(built: Project) -> None:
    """Not only what comes first: both sources of a step, and its product."""
    built.write("Makefile", "x: a.c b.c\n\tcat a.c b.c > x\n")
    built.check(built.build(), extra=("prog", "a.o", "b.o"))
    built.write("a.c", "A\n")
    built.write("b.c", "B\n")
    (built.tree / "x").write_text("mine\n")
    told = why(built, "x")
    assert "stale, because " in told
    for name in ("a.c changed", "b.c changed", "x was changed by something else"):
        assert name in told, told
    assert told.count("and because") == 2


@pytest.mark.parametrize("status", [1, 127, 128, 129, 255])
def test_a_shell_function_that_failed_is_as_current_as_any(project: Project, status: int) -> None:
    """`git rev-parse` ends with 128 outside of a repository; that was taken for a signal, and no build was null."""
    project.write("Makefile", f"v := $(shell echo v; exit {status})\nx: in\n\techo $(v) > x; cat in >> x\n")
    project.write("in", "in\n")
    project.check(project.build())
    project.check_null(project.rebuild())


def test_another_goal_asks_again_for_what_a_script_with_make_in_it_had_left(project: Project) -> None:
    """No single step is the maker of such a product; it was taken for a source, and what was lost was not missed."""
    project.environment["HASHMAKE_STORE"] = "off"
    script = "rm -rf d; mkdir d; $(MAKE) -s -f inner.mak && cat d/one in > pkg"
    project.write("Makefile", f"all: pkg\npkg: in\n\t{script}\n")
    project.write("inner.mak", "all:\n\tcp in d/one\n")
    project.write("in", "1\n")
    project.check(project.build())
    project.lose("d/one")
    project.check(project.build("all"))
    project.damage("pkg")
    project.check(project.build())


def test_a_log_that_plain_make_has_added_to_is_as_a_clean_build_leaves_it(project: Project) -> None:
    """Make does not know this file, so it is left in sight: it may be a configuration that is never replaced.

    That a step adds to it tells that it is none; a person's may be among what was added, so there is a copy.
    """
    project.environment["HASHMAKE_STORE"] = "off"
    project.write("Makefile", "prog: a.o\n\tcat a.o > prog\na.o: a.in\n\tcp a.in a.o\n\tcat a.o >> log\n")
    project.write("a.in", "1\n")
    project.build()
    project.touch("a.in")
    assert project.stock()[0] == 0
    result = project.build()
    project.check(result)
    project.check_null(result)
    (copy,) = (project.tree / ".hashmake" / "kept").rglob("log")
    assert copy.read_text() == "1\n1\n"


def test_a_persons_file_that_a_step_completes_stays_where_its_maker_leaves_it(project: Project) -> None:
    """The step that adds to it never made it from nothing: that is another line's affair, and that line leaves it."""
    project.environment["HASHMAKE_STORE"] = "off"
    recipe = "\t[ -f config.h ] || cp sample.h config.h\n\tgrep -q two config.h || echo two >> config.h\n"
    project.write("Makefile", "prog: main.c\n" + recipe + "\tcat main.c config.h > prog\n")
    project.write("sample.h", "one\n")
    project.write("main.c", "1\n")
    project.build()
    (project.tree / "config.h").write_text("mine\n")
    project.write("main.c", "2\n")
    project.build()
    assert project.text("prog") == "2\nmine\ntwo\n"
