"""Who may import whom: rooms, from the bottom up. What a module may do follows from the folder that it lies in."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[1] / "hashmake"

# A room imports from itself and from those before it. A module in no room (front, request, errors) stands just above
# the highest room that it imports from: one that imports from none may be used everywhere.
ROOMS = "model kbuild judge disk null state store run progress reports build verify".split()
NO_PYTHON = {"interpose", "launcher", "looker", "demo_tree"}
# They decide without looking at the world, and so can be tested, and trusted, without files, clocks and processes.
PURE = {"model", "kbuild", "judge"}
WORLD = set(
    "os pathlib shutil glob tempfile fcntl mmap time datetime random secrets socket select selectors signal subprocess"
    " threading _thread multiprocessing asyncio ctypes resource pwd grp platform sys lmdb click".split()
)
WORLD_CALLS = {"open", "print", "input"}
WORLD_NAMES = {
    "realpath",
    "abspath",
    "exists",
    "lexists",
    "isfile",
    "isdir",
    "islink",
    "getmtime",
    "getsize",
    "expanduser",
}
# One place for each dependency, so that it can be replaced.
DEPENDENCIES = {
    "lmdb": {"state.database"},
    "click": {"cli"},
    "xxhash": {"model.digest", "run.view"},
    "elftools": {"kbuild.symbols"},
    "grpc": {"store.client"},
    "google": {"store.wire"},
}

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}


def room(name: str) -> str:
    """The folder of a module; empty for what lies in none."""
    return name.rpartition(".")[0]


@cache
def imports(name: str) -> frozenset[str]:
    """Everything imported anywhere in a module, also for types only."""
    return frozenset(_imports(name))


def _imports(name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.startswith("hashmake."):
                yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own(name: str) -> set[str]:
    """Modules of the package that a module imports."""
    return {each for found in imports(name) if (each := found.removeprefix("hashmake.")) in MODULES and each != found}


@cache
def height(name: str) -> float:
    """Where a module stands: its room's place, or just above what it imports."""
    if room(name):
        return ROOMS.index(room(name))
    return max((height(each) // 1 for each in own(name)), default=-1) + 0.5


def test_every_folder_is_a_known_room() -> None:
    """A new folder gets its place among the others first."""
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS) | NO_PYTHON
    assert {room(name) for name in MODULES} == {"", *ROOMS}


def test_a_room_itself_imports_nothing() -> None:
    """Its modules do, each what it needs: a null build loads few of them."""
    for path in PACKAGE.rglob("__init__.py"):
        assert not [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Import | ast.ImportFrom)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Nor within a room."""
    TopologicalSorter({name: own(name) for name in MODULES}).prepare()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_room_and_those_below(name: str) -> None:
    above = {each for each in own(name) if height(each) > height(name)}
    assert not above


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in PURE])
def test_what_decides_does_not_look_at_the_world(name: str) -> None:
    """The room says so, not the module."""
    tree = ast.walk(ast.parse(MODULES[name].read_text()))
    called = {node.func.id for node in tree if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    looks = called & WORLD_CALLS | {each.partition(".")[0] for each in imports(name)} & WORLD
    looks |= {each for each in imports(name) if each.partition(".")[2] in WORLD_NAMES or each == "posixpath"}
    assert not looks


def test_a_null_build_loads_little() -> None:
    """Nothing that takes long to load; -S: without what lies in this environment's site-packages for all programs."""
    code = "import sys; sys.path += sys.argv[1:]; import hashmake.build.begin; print(*sys.modules)"
    places = [str(Path(each).parents[1]) for each in (str(PACKAGE / "front.py"), xxhash.__file__)]
    done = subprocess.run([sys.executable, "-S", "-E", "-c", code, *places], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "hashmake.null.check" in loaded
    assert not loaded & {"typing", "collections.abc", "re", "enum", "json", "contextlib", "subprocess", "click", "lmdb"}


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_each_dependency_is_imported_in_its_place_only(dependency: str) -> None:
    users = {name for name in MODULES if dependency in {each.partition(".")[0] for each in imports(name)}}
    assert users == DEPENDENCIES[dependency]


def test_the_engine_does_not_know_the_kernel() -> None:
    """The start of a build chooses plug-ins; O=, KBUILD_OUTPUT and V= are words of the command line."""
    knowing = {
        name for name, path in MODULES.items() if room(name) != "kbuild" and "kbuild" in path.read_text().lower()
    }
    assert knowing <= {
        "demo",
        "request",
        "build.prepare",
        "build.setting",
        "reports.carry",
        "reports.ksyms",
        "reports.why",
    }
