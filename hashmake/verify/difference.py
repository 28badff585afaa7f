"""The first difference of two files, or of two texts: what a person wants to see first."""

import os

from hashmake.disk import reading
from hashmake.model import digest

_LOOK = 8192
_PIECE = 1 << 20
_SHOW = 120
_BYTES = 8


def of_texts(before: bytes, again: bytes) -> dict[str, object]:
    """Line (from 1) and column (from 1, bytes) of the first difference, with both lines from near that column on."""
    at = _first(before, again)
    line = before.count(b"\n", 0, at) + 1
    start = before.rfind(b"\n", 0, at) + 1
    cut = max(start, at - _SHOW // 2)
    lines = [text[cut:].split(b"\n", 1)[0][:_SHOW].decode("utf-8", "backslashreplace") for text in (before, again)]
    return {"kind": "text", "line": line, "column": at - start + 1, "before": lines[0], "again": lines[1]}


def of_paths(before: bytes, again: bytes) -> dict[str, object]:
    """What differs first between what lies at two paths; `kind` is text, bytes, type or mode."""
    versions = [reading.of_path(path)[0] for path in (before, again)]
    if any(version[:1] != b"F" for version in versions):
        return of_versions(*versions)
    if versions[0][2:] == versions[1][2:]:
        return of_versions(*versions) | {"kind": "mode"}
    with open(before, "rb") as one, open(again, "rb") as other:
        if not any(b"\0" in file.read(_LOOK) for file in (one, other)) and os.fstat(one.fileno()).st_size < _PIECE:
            one.seek(0)
            other.seek(0)
            return of_texts(one.read(), other.read())
        at = 0
        one.seek(0)
        other.seek(0)
        while True:
            a, b = one.read(_PIECE), other.read(_PIECE)
            if a != b:
                break
            at += len(a)
        first = _first(a, b)
    shown = [piece[first : first + _BYTES].hex(" ") or "(end)" for piece in (a, b)]
    return {"kind": "bytes", "offset": at + first, "before": shown[0], "again": shown[1]}


def of_versions(before: bytes, again: bytes) -> dict[str, object]:
    """All that can be said where the contents themselves are gone: a later step went on from them."""
    return {"kind": "type", "before": digest.describe(before), "again": digest.describe(again)}


def _first(a: bytes, b: bytes) -> int:
    """Index of the first byte in which they differ; the length of the shorter where it is how the longer begins."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # the longest common beginning, by halves: comparing slices is C
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
