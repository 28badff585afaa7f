"""Files that nobody has read: an unchanged signature saves the reading, anything else is read."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hashmake.disk import reading
from hashmake.disk.disk import Disk
from hashmake.disk.signature import Signature, unchanged
from hashmake.null.check import Check
from hashmake.null.manifest import pack_manifest
from hashmake.state.complete import Complete

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def aged(path: Path) -> bytes:
    """A file whose last change is long enough ago for its signature to be trusted."""
    path.write_text("one\n")
    time.sleep(0.02)
    return os.fsencode(path)


def agrees(path: bytes, version: bytes, signature: bytes) -> bool:
    """Whether a null check that knows of this file alone finds nothing changed."""
    complete = Complete(os.path.dirname(os.fsdecode(path)), b"k" * 16, b"a" * 16)
    manifest = pack_manifest(([], [], [], [], [], [], [], [], [], [path], [version], [signature]))
    complete.save(b"", b"i" * 16, manifest, says=False)
    return Check().agrees(complete.path(b"i" * 16))


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = aged(tmp_path / "file")
    first = Disk()
    version = first.looked(path)
    signature = first.lasting_signature(path)
    assert signature
    later = Disk()
    later.know_looks([path], [version], [signature])
    monkeypatch.setattr(reading, "of_file", lambda _path: (b"read", None))
    assert later.looked(path) == version
    assert later.files_read == 0
    assert agrees(path, version, signature)
    later.forget(path)
    assert later.looked(path) == b"read"


def test_a_touch_is_read_and_found_equal_and_an_edit_is_found(tmp_path: Path) -> None:
    path = aged(tmp_path / "file")
    first = Disk()
    version = first.looked(path)
    signature = first.lasting_signature(path)
    os.utime(path)
    assert agrees(path, version, signature)
    before = os.stat(path)
    (tmp_path / "file").write_text("two\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not agrees(path, version, signature)
    later = Disk()
    later.know_looks([path], [version], [signature])
    assert later.looked(path) != version


def test_a_file_that_was_read_just_after_it_changed_is_read_each_time(tmp_path: Path) -> None:
    """Another change in the same tick of the clock would leave the same stat."""
    path = tmp_path / "file"
    path.write_text("one\n")
    found = Disk()
    version = found.looked(os.fsencode(path))
    packed = found._signatures[os.fsencode(path)]
    ctime = Signature(packed).ctime_ns
    found._signatures[os.fsencode(path)] = packed[:-8] + (ctime + 1).to_bytes(8, "little")
    assert found.lasting_signature(os.fsencode(path)) == b""
    assert agrees(os.fsencode(path), version, b"")


def test_nothing_is_saved_after_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = aged(tmp_path / "file")
    first = Disk()
    first.looked(path)
    signature = first.lasting_signature(path)
    assert unchanged(path, signature)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    assert not unchanged(path, signature)


def test_a_link_in_the_place_of_a_file_is_a_difference(tmp_path: Path) -> None:
    path = aged(tmp_path / "file")
    first = Disk()
    version = first.looked(path)
    signature = first.lasting_signature(path)
    (tmp_path / "file").rename(tmp_path / "other")
    (tmp_path / "file").symlink_to("other")
    # It was moved: its ctime is another one.
    assert not agrees(path, version, signature)
