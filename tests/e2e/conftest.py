"""Fixtures of the scenarios: one project per test and mode, in a directory of its own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from . import tool
from .project import MODES, Mode, Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled logging tool."""
    return tool.compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session")
def python_path() -> str:
    """What the tool under test needs in PYTHONPATH."""
    return tool.python_path()


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each of the three ways in which time passes between steps."""
    chosen: Mode = request.param
    return chosen


@pytest.fixture
def project(tmp_path: Path, shim: Path, mode: Mode, python_path: str) -> Iterator[Project]:
    """An empty project; kept for a look when HASHMAKE_TEST_KEEP is set."""
    yield Project.create(tmp_path, shim, mode, python_path)
    if not tool.KEEP_TREES:
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def needs_hashmake() -> None:
    """For what make has no word for."""
    if tool.is_stock_make():
        pytest.skip("make has no such verb")
