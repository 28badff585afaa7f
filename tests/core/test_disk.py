"""The disk as a build has seen it: what is remembered of a path, and when it counts as changed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hashmake.disk.disk import Disk

if TYPE_CHECKING:
    from pathlib import Path


def test_looking_at_a_link_does_not_make_its_file_look_changed(tmp_path: Path) -> None:
    """/usr/bin/sh "changed" in every build: the link's signature was compared with that of the file behind it."""
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    link = os.fsencode(tmp_path / "link")
    disk = Disk()
    disk.content(link)
    disk.own(link)
    assert disk.still_same(link)


def test_a_changed_file_is_not_the_same(tmp_path: Path) -> None:
    """Also when size and mtime are put back."""
    path = os.fsencode(tmp_path / "a")
    (tmp_path / "a").write_text("one")
    disk = Disk()
    disk.content(path)
    before = os.stat(path)
    time.sleep(0.02)
    (tmp_path / "a").write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not disk.still_same(path)


def test_an_equal_output_gets_its_old_time_back(tmp_path: Path) -> None:
    """And only an equal one."""
    path = os.fsencode(tmp_path / "a")
    (tmp_path / "a").write_text("one")
    os.utime(path, ns=(0, 10**18))
    disk = Disk()
    version = disk.content(path)
    disk.forget(path)
    (tmp_path / "a").write_text("one")
    disk.restore_time(path, version)
    assert os.stat(path).st_mtime_ns == 10**18
    (tmp_path / "a").write_text("two")
    disk.restore_time(path, disk.content(path))
    assert os.stat(path).st_mtime_ns != 10**18
