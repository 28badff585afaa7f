"""What the null check goes by: files of its own, each sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hashmake.errors import StateUnusable
from hashmake.state.complete import Complete

if TYPE_CHECKING:
    from pathlib import Path

KEY, ASKED = b"k" * 16, b"a" * 16


def inputs(number: int) -> bytes:
    return b"%016d" % number


def test_what_was_kept_is_found_again_and_by_nobody_else(tmp_path: Path) -> None:
    complete = Complete(str(tmp_path), KEY, ASKED)
    assert complete.names() is None
    assert complete.manifest(inputs(1)) is None
    complete.save(b"CC\0CFLAGS", inputs(1), b"manifest", says=True)
    complete.save(b"CC\0CFLAGS\0V", inputs(2), b"other", says=False)
    again = Complete(str(tmp_path), KEY, ASKED)
    assert again.names() == b"CC\0CFLAGS\0V"
    assert (again.manifest(inputs(1)), again.says(inputs(1))) == (b"manifest", True)
    assert (again.manifest(inputs(2)), again.says(inputs(2))) == (b"other", False)
    assert Complete(str(tmp_path), b"l" * 16, ASKED).names() is None
    assert Complete(str(tmp_path), b"l" * 16, ASKED).manifest(inputs(1)) is None
    assert Complete(str(tmp_path), KEY, b"b" * 16).names() is None


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    """Each job of a CI system has another environment."""
    complete = Complete(str(tmp_path), KEY, ASKED)
    for number in (*range(50), 47):
        complete.save(b"CC", inputs(number), b"manifest %d" % number, says=False)
    kept = [number for number in range(50) if complete.manifest(inputs(number))]
    assert kept == [47, 48, 49]
    assert len(list((tmp_path / "complete").iterdir())) == 4


def test_a_build_that_can_not_be_null_has_none(tmp_path: Path) -> None:
    complete = Complete(str(tmp_path), KEY, ASKED)
    complete.save(b"CC", inputs(1), b"manifest", says=False)
    complete.save(b"CC", inputs(1), None, says=False)
    assert complete.manifest(inputs(1)) is None
    assert complete.names() == b"CC"


def test_forgotten(tmp_path: Path) -> None:
    complete = Complete(str(tmp_path), KEY, ASKED)
    complete.forget_all()
    complete.save(b"CC", inputs(1), b"manifest", says=False)
    complete.forget_all()
    assert complete.names() is None
    complete.save(b"CC", inputs(1), b"manifest", says=False)
    assert complete.manifest(inputs(1)) == b"manifest"


@pytest.mark.parametrize("cut", [0, 5, 16, 20, -1])
def test_a_damaged_file_is_no_file(tmp_path: Path, cut: int) -> None:
    complete = Complete(str(tmp_path), KEY, ASKED)
    complete.save(b"CC" * 100, inputs(1), b"manifest" * 100, says=False)
    for file in (tmp_path / "complete").iterdir():
        file.write_bytes(file.read_bytes()[:cut])
    assert complete.names() is None
    assert complete.manifest(inputs(1)) is None
    complete.save(b"CC", inputs(1), b"manifest", says=False)
    assert complete.manifest(inputs(1)) == b"manifest"


def test_no_room_is_told(tmp_path: Path) -> None:
    (tmp_path / "complete").write_text("in the way")
    with pytest.raises(StateUnusable, match="can't write"):
        Complete(str(tmp_path), KEY, ASKED).save(b"CC", inputs(1), b"manifest", says=False)
