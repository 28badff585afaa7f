"""What the package never does, and what a source tree can't make it do."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hashmake
from e2e import tool

if TYPE_CHECKING:
    from .conftest import Tree

MODULES = sorted(Path(hashmake.__file__).parent.rglob("*.py"))
# Turn data into code, run text in a shell, or read settings from files.
IMPORTS = {"pickle", "cPickle", "dill", "marshal", "shelve", "dbm", "code", "codeop", "runpy", "imp", "yaml", "tomllib"}
IMPORTS |= {"configparser", "importlib", "netrc", "pty"}
CALLS = {"eval", "exec", "compile", "__import__"}
METHODS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_turns_data_into_code(path: Path) -> None:
    """No pickle, no eval, no shell; configuration in one place."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in IMPORTS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in IMPORTS:
            found.append(node.module or "")
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in CALLS:
                found.append(function.id)
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                pair = (function.value.id, function.attr)
                found += [".".join(pair)] * (pair in METHODS)
            found += ["shell="] * any(keyword.arg == "shell" for keyword in node.keywords)
    # hashmake.toml, which is never that of a tree: tests/core/test_settings.py
    assert found == (["tomllib"] if path.stem == "settings" else [])


CONFIGURATION = """\
[tool.hashmake]
state-dir = "{0}/state"
[hashmake]
state_dir = "{0}/state"
make = "{0}/make"
"""


def test_no_file_in_a_source_tree_is_taken_for_configuration(tree: Tree) -> None:
    """None of the usual names moves the state or chooses a program."""
    (tree.outside / "make").write_text(f"#!/bin/sh\ntouch {tree.outside}/trap\n")
    (tree.outside / "make").chmod(0o755)
    names = "hashmake.toml .hashmake.toml .hashmakerc hashmake.cfg hashmake.ini .hashmake.conf pyproject.toml setup.cfg"
    for name in (*names.split(), ".env", ".config/hashmake/config.toml"):
        (tree.root / name).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / name).write_text(CONFIGURATION.format(tree.outside) + f"HASHMAKE_STATE_DIR={tree.outside}/state\n")
    tree.makefile("all: made\nmade:\n\ttouch made\n")
    tree.build()
    assert (tree.state / "db/data.mdb").exists()
    assert (tree.root / "made").exists()
    assert sorted(path.name for path in tree.outside.iterdir()) == ["make"]


def test_a_makefile_does_not_point_the_state_elsewhere(tree: Tree) -> None:
    """Hashmake called by a recipe is plain make: its steps belong to the build that is running."""
    call = shlex.join(tool.verb_command("build"))
    lines = [f"export HASHMAKE_STATE_DIR := {tree.outside}/state", "all:", f"\t{call} -C sub", "\ttouch made"]
    tree.makefile("\n".join(lines) + "\n")
    (tree.root / "sub").mkdir()
    (tree.root / "sub/Makefile").write_text("all:\n\ttouch made\n")
    tree.build()
    assert (tree.root / "sub/made").exists()
    assert (tree.state / "db/data.mdb").exists()
    assert not list(tree.outside.iterdir())
