"""Fixtures of the scenarios: one project per test and mode, in a directory of its own."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

from . import tool
from .project import MODES, Mode, Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


EVERYTHING = "HASHMAKE_KERNEL_ALL" in os.environ  # as tests/run --long has it


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each test is run in one of the three modes, always the same, every second with equal times; with --long in all.

    Where time is all that it is about (`all_modes`) it is run in all three.
    """
    dropped = [item for item in items if not EVERYTHING and _in_another_mode(item)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


def _in_another_mode(item: pytest.Item) -> bool:
    mode = getattr(item, "callspec", None) and item.callspec.params.get("mode")  # type: ignore[attr-defined]
    if mode is None:
        return False
    chosen = crc32(item.nodeid.replace(mode.name, "").encode())
    if item.get_closest_marker("all_modes") is not None:
        return False
    return mode is not (MODES[2] if chosen % 2 else MODES[chosen // 2 % 2])


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
