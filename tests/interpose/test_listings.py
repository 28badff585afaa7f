"""Listings: begun, each name, ended; hidden names are left out of every kind of listing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import harness

if TYPE_CHECKING:
    from collections.abc import Callable

LISTERS = {"a": "readdir", "b": "readdir64", "c": "scandir", "d": "glob", "e": "nftw", "f": "fts", "g": "getdents64"}


@pytest.fixture
def tree(work: Path) -> Path:
    """Make a directory for every lister, with three files each."""
    for folder in LISTERS:
        (work / folder).mkdir()
        for name in ("one", "two", "three"):
            (work / folder / name).write_text("x")
    return work


def listed(out: str, how: str) -> set[str]:
    """Give the names that one lister printed."""
    return {Path(line.split()[1]).name for line in out.splitlines() if line.split()[0] == how}


def test_each_lister_tells_what_it_found(program: Callable[..., Path], run: harness.RunDirectory, tree: Path) -> None:
    """All of the names, also those that the program's own filter drops."""
    out = run.run(program("dirs"), cwd=tree)
    trace = run.trace()
    for folder, how in LISTERS.items():
        assert {"one", "three"} <= listed(out, how), how
        assert {"d", "f"} <= set(trace.kinds(tree / folder)), how
        for name in ("one", "two", "three"):
            assert "e" in trace.kinds(tree / folder / name), how
    assert trace.kinds(tree / "absent") == "n"


def test_hidden_names_are_not_listed(program: Callable[..., Path], run: harness.RunDirectory, tree: Path) -> None:
    """Nor recorded as found."""
    run.make_view({tree / folder / "one": harness.HIDDEN for folder in LISTERS}, harness.HIDE)
    out = run.run(program("dirs"), cwd=tree)
    trace = run.trace()
    for folder, how in LISTERS.items():
        assert "one" not in listed(out, how), how
        assert "three" in listed(out, how), how
        assert "e" not in trace.kinds(tree / folder / "one"), how
