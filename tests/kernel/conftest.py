"""Fixtures of the kernel scenarios: one tree for the whole session, brought back to its first state for each test."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from . import linux as cache
from .linux import Linux

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """The rest of the list; where this file is read too late for options, HASHMAKE_KERNEL_ALL=1 means the same."""
    parser.addoption("--kernel-all", action="store_true", help="run every kernel scenario (hours the first time)")


@pytest.fixture
def everything(request: pytest.FixtureRequest) -> None:
    """For the scenarios that are too long for every day."""
    if not (cache.EVERYTHING or request.config.getoption("--kernel-all", default=False)):
        pytest.skip("long: run with --kernel-all, or HASHMAKE_KERNEL_ALL=1 in the environment")


@pytest.fixture(scope="session")
def sources() -> Iterator[None]:
    """The unpacked sources, for one session at a time."""
    if not cache.ARCHIVE.exists():
        pytest.skip(f"{cache.ARCHIVE} is not there: apt-get install linux-source-6.1")
    with cache.alone():
        cache.unpack()
        cache.prepare()
        yield


@pytest.fixture(scope="session")
def tree(sources: None) -> Linux:
    """The tree with its output directory elsewhere, nothing built."""
    store = cache.CACHE / "store"
    shutil.rmtree(store, ignore_errors=True)
    shared = Linux(cache.CACHE / "linux", cache.CACHE / "out", store=str(store))
    shared.restore()
    return shared


@pytest.fixture
def linux(tree: Linux) -> Iterator[Linux]:
    """The tree as it is after the first build: edits taken back and built."""
    tree.settle()
    yield tree
    tree.restore()


@pytest.fixture(params=["tinyconfig", "trimmed"])
def configured(request: pytest.FixtureRequest, sources: None) -> Iterator[Linux]:
    """A tree with an output directory of its own, its .config written, nothing built."""
    fragment = cache.trim_fragment() if request.param == "trimmed" else ""
    found = Linux(cache.CACHE / "linux", cache.CACHE / f"own-{request.param}", fragment=fragment)
    found.start_over()
    yield found
    shutil.rmtree(found.out, ignore_errors=True)
