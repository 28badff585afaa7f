"""What the Kbuild plug-in replaces: options one by one, stamps by what they stand for, exports trimmed in one pass."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .kbuild import CONFIG, EXPORTS, GUARD, compiled, fill
from .tool import verb_command

if TYPE_CHECKING:
    from .project import Project, Result

pytestmark = pytest.mark.usefixtures("needs_hashmake")
CORE = ["core/alpha.o", "core/beta.o", "core/kappa.o", "core/delta.o", "core/epsilon.o"]
OTHERS = ["core/red.o", "core/blue.o", "core/net.o"]
MODULES = ["mod/one.o", "mod/two.o"]


@pytest.fixture
def tree(project: Project) -> Project:
    """The tree, built twice: the second build begins with what the first one found to be needed.

    Nothing is kept: what is judged stale is what runs.
    """
    project.environment["HASHMAKE_STORE"] = "off"
    return built_twice(project)


def built_twice(project: Project) -> Project:
    """See `tree`."""
    fill(project)
    project.check(project.attempt(), runs=999)
    project.edit("mod/one.c", "alpha();", "alpha() + 1;")
    project.check(project.rebuild(), runs=999)
    return project


def rebuilt(project: Project, *expected: str) -> Result:
    """Build, as a clean build would: exactly these objects are compiled, each once."""
    result = project.rebuild()
    project.check(result, runs=999)
    reasons = [f"{row['command'][:60]}: {row['reason']['text']}" for row in project.log().get("ran", ())]
    assert sorted(compiled(result.runs)) == sorted(expected), "\n".join([result.err, *reasons])
    return result


def test_an_option_runs_what_mentions_it(tree: Project) -> None:
    """And its makes; switched back, the same again, for what it made is gone."""
    tree.write(".config", CONFIG.replace("CONFIG_RED=y\n", ""))
    rebuilt(tree, "core/red.o")
    tree.write(".config", CONFIG.replace("CONFIG_BLUE=m\n", ""))
    rebuilt(tree, "core/red.o", "core/blue.o")
    tree.write(".config", CONFIG)
    rebuilt(tree, "core/blue.o")


def test_with_a_store_going_back_compiles_nothing(project: Project) -> None:
    """Options, needed symbols and whitelists that have been seen before."""
    tree = built_twice(project)
    for name, text in ((".config", CONFIG.replace("CONFIG_RED=y\n", "")), ("whitelist", "epsilon\n")):
        before = tree.text(name) if tree.has(name) else ""
        tree.write(name, text)
        tree.check(tree.rebuild(), runs=999)
        tree.write(name, before)
        rebuilt(tree)
    tree.build("clean")
    rebuilt(tree)


def test_a_variable_that_is_no_word_of_a_makefile_costs_nothing(tree: Project) -> None:
    """Kbuild computes whole names, $($(1)); a CI system sets a dozen new variables for each job."""
    computed = "flags := $(foreach word,$(obj-y) LIKE_THIS,$($(word)))\n"
    tree.edit("scripts/build.mk", ".DEFAULT_GOAL := all\n", ".DEFAULT_GOAL := all\n" + computed)
    tree.write("scripts/link.sh", "make -f scripts/link.mk && sort linked > packed\n")
    tree.write("scripts/link.mk", "both: linked\n\techo '$(flags) $($(obj-y))' > both\n")
    tree.edit("Makefile", "all: linked\n", "all: packed\npacked: linked scripts/link.sh\n\tsh scripts/link.sh\n")
    tree.check(tree.rebuild(), runs=999)
    tree.check_null(tree.build(CI_JOB_ID="7", TERM_PROGRAM="x"))
    evaluated = tree.build(LIKE_THIS="1")
    tree.check(evaluated, runs=999)
    assert "nothing changed" not in evaluated.err


def test_an_option_whose_name_is_pasted_together_is_found(tree: Project) -> None:
    """CONFIG_NET_##x: every option that begins so counts, and no other."""
    tree.write(".config", CONFIG + "CONFIG_NET_SLOW=y\n")
    rebuilt(tree, "core/net.o")
    tree.write(".config", CONFIG.replace("CONFIG_NET_FAST=y\n", "CONFIG_UNKNOWN=y\n"))
    rebuilt(tree, "core/net.o")


def test_an_option_that_nobody_mentions_runs_nothing_but_the_configuration(tree: Project) -> None:
    """No make below the top one starts, and nothing is linked again."""
    tree.write(".config", CONFIG + "CONFIG_UNKNOWN=y\n")
    result = rebuilt(tree)
    assert "linked" not in [os.path.basename(path) for row in tree.log()["ran"] for path in row["outputs"]]
    assert not [row for row in tree.log()["ran"] if "build.mk" in row["command"]], result.err


def test_an_option_that_make_mentions_starts_that_make_only(tree: Project) -> None:
    """Also by a name that it puts together."""
    tree.write("mod/Kbuild", "which := EXTRA\nobj-y := one.o two.o\nobj-$(CONFIG_$(which)) += three.o\n")
    tree.write("mod/three.c", "int three(void) { return 3; }\n")
    rebuilt(tree)
    tree.write(".config", CONFIG + "CONFIG_EXTRA=y\n")
    rebuilt(tree, "mod/three.o")


def test_an_option_that_a_generated_makefile_mentions_counts(tree: Project) -> None:
    """The make that reads it has made it itself: it is no input, but what it mentions is."""
    tree.write("mod/Kbuild", "obj-y := one.o two.o\ninclude mod/gen.mk\nmod/gen.mk: mod/gen.in\n\tcp $< $@\n")
    tree.write("mod/gen.in", "obj-$(CONFIG_EXTRA) += three.o\n")
    tree.write("mod/three.c", "int three(void) { return 3; }\n")
    rebuilt(tree)
    tree.write(".config", CONFIG + "CONFIG_UNKNOWN=y\n")
    rebuilt(tree)
    assert not [row for row in tree.log()["ran"] if "gen.mk" in str(row["outputs"])]
    tree.write(".config", CONFIG + "CONFIG_EXTRA=y\n")
    rebuilt(tree, "mod/three.o")


def test_what_is_told_of_a_changed_option(tree: Project) -> None:
    """The reason names the option and both values."""
    tree.write(".config", CONFIG.replace("CONFIG_RED=y\n", ""))
    tree.build()
    reasons = [row["reason"] for row in tree.log()["ran"] if row["command"].startswith("cc ")]
    assert [reason["kind"] for reason in reasons] == ["NameChanged"]
    told = f"CONFIG_RED in {tree.tree}/include/generated/autoconf.h changed: 1 -> not set"
    assert reasons[0]["text"] == told


def test_why_knows_what_a_step_depends_on_of_a_table(tree: Project) -> None:
    """Its options, and the needed symbols that it offers."""
    assert "): current, it would be skipped" in why(tree, "core/red.o")
    table = tree.tree / "include/generated/autoconf.h"
    table.write_text(table.read_text().replace("CONFIG_RED 1", "CONFIG_RED 2"))
    assert "): current, it would be skipped" in why(tree, "core/beta.o")
    said = why(tree, "core/red.o")
    assert "stale, because CONFIG_RED in " in said
    assert "include/generated/autoconf.h changed: 1 -> 2" in said


def why(project: Project, path: str) -> str:
    """`hashmake why`."""
    command, environment = verb_command("why", path), project.environment
    return subprocess.run(command, cwd=project.tree, env=environment, capture_output=True, check=True, text=True).stdout


def test_the_first_build_is_stock_makes_and_the_next_begins_where_it_ended(project: Project) -> None:
    """After `clean`, each unit is compiled once, where stock make compiles what exports something twice."""
    project.environment["HASHMAKE_STORE"] = "off"
    fill(project)
    first = project.attempt()
    project.check(first, runs=999)
    assert sorted(compiled(first.runs)) == sorted([*CORE, *OTHERS, *MODULES, "core/alpha.o", "core/beta.o"])
    project.build("clean")
    rebuilt(project, *CORE, *OTHERS, *MODULES)


def test_a_module_that_needs_one_more_symbol(tree: Project) -> None:
    """It is compiled, and who offers the symbol; taken back, the same two."""
    tree.write("mod/two.c", "int kappa(void);\nint two(void) { return kappa(); }\n")
    rebuilt(tree, "mod/two.o", "core/beta.o", "core/kappa.o")
    assert tree.text("linked") == "alpha\nkappa\n"
    tree.write("mod/two.c", "int beta(void);\nint two(void) { return beta(); }\n")
    rebuilt(tree, "mod/two.o", "core/beta.o", "core/kappa.o")


def test_a_module_comes_and_goes(tree: Project) -> None:
    tree.write("mod/three.c", "int delta(void);\nint three(void) { return delta(); }\n")
    tree.write("mod/Kbuild", "obj-y := one.o two.o three.o\n")
    rebuilt(tree, "mod/three.o", "core/delta.o")
    tree.delete("mod/three.c")
    tree.write("mod/Kbuild", "obj-y := one.o two.o\n")
    result = tree.rebuild()
    tree.check(result, runs=999, extra=("mod/three.o", "mod/.three.o.cmd"))
    assert compiled(result.runs) == ["core/delta.o"]


def test_the_whitelist_changes(tree: Project) -> None:
    tree.write("whitelist", "epsilon\n")
    rebuilt(tree, "core/epsilon.o")
    assert tree.text("linked") == "alpha\nbeta\nepsilon\n"
    tree.delete("whitelist")
    rebuilt(tree, "core/epsilon.o")


def test_a_unit_gains_and_loses_an_export(tree: Project) -> None:
    """One that is needed and one that is not: the unit alone, once."""
    more = "int alpha2(void) { return 2; }\nEXPORT_SYMBOL(alpha2)\n"
    tree.write("core/kappa.c", EXPORTS.format("kappa", 2) + more)
    rebuilt(tree, "core/kappa.o")
    tree.write("mod/two.c", "int alpha2(void);\nint two(void) { return alpha2(); }\n")
    rebuilt(tree, "mod/two.o", "core/kappa.o", "core/beta.o")
    tree.write("core/kappa.c", EXPORTS.format("kappa", 3))
    tree.write("mod/two.c", "int beta(void);\nint two(void) { return beta(); }\n")
    rebuilt(tree, "core/kappa.o", "mod/two.o", "core/beta.o")


TOUCH = """\
#!/bin/sh
case "$*" in
*include/ksym/*) exec /usr/bin/touch -d '1 hour ago' "$@" ;;
esac
exec /usr/bin/touch "$@"
"""


@pytest.mark.parametrize("guard", ["", GUARD])
def test_stamps_of_a_server_whose_clock_is_behind_are_no_harm(project: Project, guard: str) -> None:
    """Stock make is wrong every time; with the guard loop of later kernels it waits until the clock has caught up."""
    touch = project.root / "bin" / "touch"
    touch.write_text(TOUCH)
    touch.chmod(touch.stat().st_mode | stat.S_IXUSR)
    fill(project, guard)
    for _ in range(2):
        result = project.build()  # a loop that waits for the clock would not end
        assert project.text("linked") == "alpha\nbeta\n"
        project.check_null(result)
        project.build("clean")
    if not guard:
        assert "undefined!" in project.clean_build(result).err
        touch.unlink()
        project.check(project.build(), runs=999)


def test_an_object_that_stock_make_left_stale_is_compiled_again(project: Project) -> None:
    """A tree that stock make has broken, and that it does not heal: hashmake does, at the first contact."""
    fill(project)
    touch = project.root / "bin" / "touch"
    touch.write_text(TOUCH)
    touch.chmod(0o755)
    assert "undefined!" in project.stock()[1]
    touch.unlink()
    assert "undefined!" in project.stock()[1]
    result = project.build()
    assert sorted(compiled(result.runs)) == ["core/alpha.o", "core/beta.o"]
    assert project.text("linked") == "alpha\nbeta\n"
    assert [row["symbol"] for row in ksyms(project)["needed"]] == ["alpha", "beta"]
    project.write("mod/two.c", "int kappa(void);\nint two(void) { return kappa(); }\n")
    result = project.rebuild()
    assert sorted(compiled(result.runs)) == ["core/beta.o", "core/kappa.o", "mod/two.o"]
    assert ksyms(project)["last_change"]["added"] == ["kappa"]
    project.check_null(result)


def ksyms(project: Project) -> dict[str, Any]:
    """`hashmake ksyms --json`."""
    command = verb_command("ksyms", "--json")
    done = subprocess.run(command, cwd=project.tree, env=project.environment, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ksyms_tells_who_needs_and_offers_what_and_what_changed(tree: Project) -> None:
    """Nothing changed yet; then one symbol comes, one goes, and who offers them ran again."""
    found = ksyms(tree)
    assert found["last_change"]["removed"] == []
    tree.write("whitelist", "epsilon\n")
    tree.write("mod/two.c", "int kappa(void);\nint two(void) { return kappa(); }\n")
    tree.build()
    found = ksyms(tree)
    assert found["needed"] == [
        {"symbol": "alpha", "needed_by": ["mod/one.o"], "offered_by": ["core/alpha.o"]},
        {"symbol": "epsilon", "needed_by": [], "offered_by": ["core/epsilon.o"]},
        {"symbol": "kappa", "needed_by": ["mod/two.o"], "offered_by": ["core/kappa.o"]},
    ]
    change = found["last_change"]
    assert (change["added"], change["removed"]) == (["epsilon", "kappa"], ["beta"])
    assert change["ran_again"] == ["core/beta.o", "core/epsilon.o", "core/kappa.o"]
    text = subprocess.run(verb_command("ksyms"), cwd=tree.tree, env=tree.environment, capture_output=True, check=True)
    assert b"kappa: needed by mod/two.o; offered by core/kappa.o" in text.stdout


def test_ksyms_says_where_there_is_nothing_to_tell(project: Project) -> None:
    project.write("Makefile", "out: in\n\tcp in out\n")
    project.write("in", "1\n")
    project.build()
    command, environment = verb_command("ksyms"), project.environment
    done = subprocess.run(command, cwd=project.tree, env=environment, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"no build with a list of needed symbols" in done.stderr
