"""What git's index says, in each of its versions."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from hashmake.disk import git

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["a", "lib/b", "lib/b b", "lib/" + "x" * 200, "z"]


def run(where: Path, *words: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    subprocess.run(command, cwd=where, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        os.utime(path, ns=(0, 1_600_000_000_000_000_000 + number * 1_000_000_007))
    (tmp_path / "link").symlink_to("a")
    return tmp_path


def expected(top: Path) -> dict[bytes, int]:
    return {os.fsencode(top / name): (top / name).stat().st_mtime_ns for name in NAMES}


@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_files_and_their_times_are_those_of_the_index(tree: Path, version: int) -> None:
    run(tree, "init", "-q", ".")
    run(tree, "add", "-A")
    if version == 3:
        (tree / "later").write_text("later")
        run(tree, "add", "--intent-to-add", "later")  # an extended flag
        run(tree, "update-index", "--skip-worktree", "a")
    run(tree, "update-index", "--index-version", str(version))
    found = git.tracked(str(tree / "lib"))
    found.pop(os.fsencode(tree / "later"), None)
    assert found == expected(tree)


def test_a_work_tree_of_another_repository_has_its_own_index(tree: Path, tmp_path: Path) -> None:
    run(tree, "init", "-q", ".")
    run(tree, "add", "-A")
    run(tree, "commit", "-qm", "all")
    other = tmp_path / "other"
    run(tree, "worktree", "add", "-q", str(other))
    assert git.tracked(str(other)).keys() == expected(other).keys()


def test_a_repository_with_longer_names_of_objects_is_read(tree: Path) -> None:
    run(tree, "init", "-q", "--object-format=sha256", ".")
    run(tree, "add", "-A")
    assert git.tracked(str(tree)) == expected(tree)


@pytest.mark.parametrize("keep", [0, 3, 40, 200])
def test_an_index_that_is_cut_short_counts_as_none(tree: Path, keep: int) -> None:
    run(tree, "init", "-q", ".")
    run(tree, "add", "-A")
    index = tree / ".git/index"
    index.write_bytes(index.read_bytes()[:keep])
    assert git.tracked(str(tree)) == {}


def test_no_work_tree_tracks_nothing() -> None:
    assert git.tracked("/proc/self") == {}
