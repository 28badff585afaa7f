"""Contents that are compressed on their way: nothing is believed of what comes."""

from __future__ import annotations

import pytest
import zstandard

from hashmake.store.packing import Packing

PACKING = Packing()
TEXT = b"all of it " * 1000


def test_there_and_back() -> None:
    packed = PACKING.pack(TEXT)
    assert packed is not None
    assert len(packed) < len(TEXT)
    assert PACKING.unpack(packed, len(TEXT)) == TEXT


def test_what_gains_nothing_goes_as_it_is() -> None:
    assert PACKING.pack(b"short") is None
    assert PACKING.pack(zstandard.compress(bytes(range(256)) * 40)) is None


@pytest.mark.parametrize("packed", [b"", b"nonsense", zstandard.compress(TEXT)[:-9]])
def test_what_is_none_is_missing(packed: bytes) -> None:
    assert PACKING.unpack(packed, len(TEXT)) is None


@pytest.mark.parametrize("size", [0, 10, len(TEXT) - 1, len(TEXT) + 1])
def test_another_size_is_another_content(size: int) -> None:
    """More than that is not even unpacked."""
    assert PACKING.unpack(zstandard.compress(TEXT), size) is None
