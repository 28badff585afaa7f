"""Linux 6.1, tinyconfig: verify names the steps that are not repeatable, and no other."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from . import linux as cache
from .linux import Linux

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.xdist_group("linux"),
    pytest.mark.usefixtures("everything", "sources"),
]


@pytest.fixture
def unpinned() -> Iterator[Linux]:
    """Built in a place of its own, with nothing fixed: the kernel tells when, by whom and where it was built."""
    linux = Linux(cache.CACHE / "linux", cache.CACHE / "unpinned", pinned=False)
    try:
        linux.cold()
        yield linux
    finally:
        shutil.rmtree(linux.out, ignore_errors=True)


def identities(linux: Linux) -> dict[str, tuple[int, int]]:
    """Inode and change time of everything, the state included."""
    found = {}
    for directory, _below, files in os.walk(linux.out):
        for name in files:
            info = os.lstat(os.path.join(directory, name))
            found[os.path.join(directory, name)] = (info.st_ino, info.st_ctime_ns)
    return found


def test_verify_names_the_steps_that_differ_by_time_and_no_other(unpinned: Linux) -> None:
    """One object and a sample are well. Of everything, from nothing, only who asks for the time is named."""
    before = identities(unpinned)
    for words in (("kernel/fork.o",), ("--sample", "1%", "--seed", "1")):
        status, found = unpinned.verify(*words)
        named = [found["failed"], *found["not_repeatable"], *found["wrongly_current"]]
        assert (status, named) == (0, [0])
        assert found["steps"]["verified"] > 0
    status, found = unpinned.verify()
    assert [row["command"] for row in found["not_repeatable"]] == ["LC_ALL=C date"]
    assert status == 1
    assert not found["wrongly_current"]
    assert not found["altered"]
    # It compares auto.conf with the one that tinyconfig left, which is gone.
    assert {row["command"].split()[0] for row in found["not_comparable"]} <= {"scripts/kconfig/conf"}
    assert found["follows"] > 3  # the version headers, vmlinux, bzImage
    assert found["steps"]["verified"] == found["steps"]["known"] > 2000
    assert identities(unpinned) == before


def test_verify_finds_nothing_where_the_time_is_pinned(linux: Linux) -> None:
    """With KBUILD_BUILD_TIMESTAMP and its relatives every step is repeatable."""
    status, found = linux.verify()
    assert (status, found["not_repeatable"], found["wrongly_current"]) == (0, [], [])
