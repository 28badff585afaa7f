"""Who may import whom: the architecture as a list that cannot rot."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[1] / "hashmake"

# A module imports only from rows above its own, or from earlier in its own row.
LAYERS = (
    ("what went wrong, names and digests", "errors digest tables makeargs"),
    ("facts", "selection envfacts makenames goal step result trace tree plugin"),
    ("decisions", "disk lookups account plan recording running nameable surroundings projector aggregate nullcheck"),
    ("one build's engine", "engine"),
    ("project families", "kbuild"),
    (
        "edges",
        "place git piped statedir keep database roll archive compact strays recovery manifest view supervisor progress",
    ),
    ("reports", "reports reports.log reports.last reports.why reports.status reports.ksyms reports.keep"),
    ("the conductor", "build session"),
    ("verify", "verify verify.difference verify.compare verify.report verify.namespace verify.run"),
    ("command line", "crash demo cli front __main__"),
)
# Imported when needed, against the order: a null build must not load what comes after it.
LATE = {("build", "session"), ("goal", "step"), ("selection", "makenames")}
# These decide without looking at the world.
PURE = "selection envfacts makenames tables result step plan tree recording running aggregate plugin"
WORLD = {"os", "socket", "subprocess", "time", "random", "mmap", "lmdb", "click"}
WORLD_CALLS = {"open", "print", "input"}
# One place for each dependency, so that it can be replaced.
DEPENDENCIES = {"lmdb": {"database"}, "click": {"cli"}, "xxhash": {"digest", "view"}, "elftools": {"kbuild"}}

ORDER = [name for _, names in LAYERS for name in names.split()]


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"}


def family(name: str) -> str:
    """Modules of a plug-in stand in the list under the plug-in's name."""
    return "kbuild" if name.startswith("kbuild.") else name


def imports(name: str) -> Iterator[str]:
    """Top-level names of everything imported anywhere in a module; of our own package, the module."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module == "hashmake":
            for alias in node.names:
                yield f"hashmake.{alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def own(name: str) -> set[str]:
    """Modules of the package that a module imports."""
    found = {each.removeprefix("hashmake.") for each in imports(name) if each.startswith("hashmake.")}
    return {family(each) for each in found if each in MODULES}


def test_every_module_has_its_place() -> None:
    """A new module is put into the list, one that has gone is taken out."""
    assert {family(name) for name in MODULES} == set(ORDER)
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_above(name: str) -> None:
    """Which also keeps the whole free of cycles."""
    here = ORDER.index(family(name))
    below = {each for each in own(name) if ORDER.index(each) > here and (name, each) not in LATE}
    assert not below


@pytest.mark.parametrize("name", PURE.split())
def test_what_decides_does_not_look_at_the_world(name: str) -> None:
    """So that it can be tested, and trusted, without files, clocks and processes."""
    assert not {each.partition(".")[0] for each in imports(name)} & WORLD
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & WORLD_CALLS


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_each_dependency_is_imported_in_its_place_only(dependency: str) -> None:
    users = {family(name) for name in MODULES if dependency in {each.partition(".")[0] for each in imports(name)}}
    assert users <= DEPENDENCIES[dependency]


def test_the_engine_does_not_know_the_kernel() -> None:
    """The start of a build chooses plug-ins; O=, KBUILD_OUTPUT and V= are words of the command line."""
    knowing = {family(name) for name, path in MODULES.items() if "kbuild" in path.read_text().lower()}
    assert knowing <= {"kbuild", "demo", "session", "makeargs", "build", "reports.ksyms", "reports.why"}
