"""Variables that a step goes by though its text does not name them, the order of words, makefiles from a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .project import Project


def prepare(project: Project, recipe: str) -> None:
    """One target `out`, and a home, a directory and a start-up file of each kind twice."""
    project.write("Makefile", f"out:\n\t{recipe}\n")
    for i in "12":
        project.write(f"h{i}/f", f"{i}\n")
        project.write(f"h{i}/sub/f", f"{i}\n")
        project.write(f"env{i}", f"v={i}\n")
    project.write("script", "echo $FOO\n")


@pytest.mark.parametrize(
    ("recipe", "name", "before", "after"),
    [
        ("cat ~/f > $@", "HOME", "h1", "h2"),
        ("d=~/f; cat $$d > $@", "HOME", "h1", "h2"),
        ("(cd && cat f) > $@", "HOME", "h1", "h2"),
        ("(cd sub >/dev/null && cat f) > $@", "CDPATH", "h1", "h2"),
        ("bash -c 'echo $$v > $@'", "BASH_ENV", "env1", "env2"),
    ],
)
def test_a_shell_goes_by_variables_without_naming_them(
    project: Project, recipe: str, name: str, before: str, after: str
) -> None:
    """They were not looked for: the step stayed current."""
    prepare(project, recipe)
    project.environment[name] = str(project.tree / before)
    project.check(project.build())
    project.environment[name] = str(project.tree / after)
    project.check(project.rebuild())
    project.check_null(project.rebuild())


@pytest.mark.parametrize(
    "recipe",
    [
        "echo $$((FOO+1)) > $@",
        "bash -c 'if [[ FOO -eq 41 ]]; then echo yes; else echo no; fi' > $@",
        "bash -c 'x=(a b); echo $${x[FOO-40]}' > $@",
        "cat script | sh > $@",
        "sh < script > $@",
        "sh -s < script > $@",
        "cat script | bash -c '. /dev/stdin' > $@",
        "printenv FOO > $@ || true",
        "awk 'BEGIN { print ENVIRON[\"FOO\"] }' > $@",
        "bash -c 'declare -p FOO' > $@ || true",
        "bash -c 'if :; then export -p; fi | grep FOO' > $@ || true",
    ],
)
def test_a_variable_that_is_set_only_later_counts(project: Project, recipe: str) -> None:
    """In expressions only names that were set counted, in a script on standard input none did."""
    prepare(project, recipe)
    project.check(project.build())
    project.environment["FOO"] = "41"
    project.check(project.rebuild())
    project.environment["FOO"] = "40"
    project.check(project.rebuild())


def test_an_expression_reaches_what_the_value_of_its_variable_names(project: Project) -> None:
    """N is M+1: the shell looks M up."""
    prepare(project, "bash -c 'echo $$((N))' > $@")
    project.environment |= {"N": "M+1", "M": "1"}
    project.check(project.build())
    project.environment["M"] = "2"
    project.check(project.rebuild())


def test_an_exported_function_counts(project: Project) -> None:
    """bash takes functions from variables whose names nobody can know beforehand."""
    prepare(project, "bash -c 'type f >/dev/null 2>&1 && f > $@ || echo none > $@'")
    project.check(project.build())
    project.environment["BASH_FUNC_f%%"] = "() { echo f; }"
    project.check(project.rebuild())


def test_the_linker_is_seen_to_ask_for_its_search_path(project: Project) -> None:
    """LD_RUN_PATH begins like the variables of ld.so, none of which counted."""
    project.write("a.c", "int main(void) { return 0; }\n")
    project.write("Makefile", "a: a.c\n\tcc -o $@ a.c\n")
    project.check(project.build())
    project.environment["LD_RUN_PATH"] = "/opt/somewhere"
    project.check(project.rebuild())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("A=1", "A=2"), ("A=2", "A=1")),
        (("A=1", "A+=2"), ("A+=2", "A=1")),
        (("A=1", "B:=$(A)x", "A=2"), ("A=1", "A=2", "B:=$(A)x")),
    ],
)
def test_the_order_of_words_for_one_variable_counts(
    project: Project, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    """They were sorted: what was said last was forgotten."""
    project.write("Makefile", "out:\n\techo '$(A)' '$(B)' > out\n")
    project.check(project.build(*first))
    project.check(project.rebuild(*second))


def test_the_order_of_different_variables_does_not_count(project: Project) -> None:
    """A=1 B=2 is B=2 A=1."""
    project.write("Makefile", "out:\n\techo '$(A)' '$(B)' > out\n")
    project.build("A=1", "B=2")
    project.check_null(project.rebuild("B=2", "A=1"))


@pytest.mark.parametrize("named", ["-", "/dev/stdin", "/dev/fd/0"])
def test_a_makefile_from_a_pipe_is_known_by_its_text(project: Project, named: str) -> None:
    """`make -f -` was answered `nothing changed` whatever came."""
    text = project.root / "text"
    project.prefix = ("sh", "-c", f'/bin/cat {text} | "$@"', "sh")
    project.write("in", "in\n")
    text.write_text("out: in\n\tcat in > out\n")
    project.check(project.build("-f", named))
    project.check_null(project.rebuild("-f", named))
    text.write_text("out: in\n\trev in > out\n")
    project.check(project.rebuild("-f", named))
    text.write_text("out:\n\techo fixed > out\n")
    project.check(project.rebuild("-f", named))
