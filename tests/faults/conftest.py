"""Fixtures of the faults: a workshop or an empty project of its own for each test, and mounts that go away again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from e2e import tool
from e2e.project import MODES, Project

from .workshop import Workshop, compile_marker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled logging tool."""
    return tool.compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled marking tool."""
    return compile_marker(tmp_path_factory.mktemp("marker"))


@pytest.fixture(scope="session")
def python_path() -> str:
    """What the tool under test needs in PYTHONPATH."""
    return tool.python_path()


@pytest.fixture
def workshop(tmp_path: Path, shim: Path, marker: Path, python_path: str) -> Iterator[Workshop]:
    """A workshop that was never built."""
    yield Workshop.create(tmp_path, shim, marker, python_path)
    if not tool.KEEP_TREES:
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path, shim: Path, python_path: str) -> Iterator[Project]:
    """An empty project."""
    yield Project.create(tmp_path, shim, MODES[0], python_path)
    if not tool.KEEP_TREES:
        shutil.rmtree(tmp_path, ignore_errors=True)
