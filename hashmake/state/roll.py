"""The roll: the paths that builds wrote, kept beside the database as plain lines, for the day the database is lost.

Without it the products in the tree would be taken for sources, and a step that adds to one (`>>`, `ar r`) would add
to what is there. Each line: CRC-32 of the rest (8 hex digits), goal (32), path; lines end with NUL. What is torn or
damaged is left out.
"""

import os
import zlib
from collections.abc import Iterable

from hashmake.state.directory import private

NAME = "products"


def _lines(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    texts = (goal.hex().encode() + path for goal, path in items)
    return b"".join(b"%08x%s\0" % (zlib.crc32(text), text) for text in texts)


def append(state_path: str, items: list[tuple[bytes, bytes]]) -> None:
    """More (goal, path). A full disk is no error: what is not here is in the database."""
    if not items:
        return
    try:
        with private(os.path.join(state_path, NAME), os.O_APPEND) as roll:
            roll.write(_lines(items))
    except OSError:
        pass


def rewrite(state_path: str, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Exactly these (goal, path)."""
    path = os.path.join(state_path, NAME)
    try:
        with private(path + ".new") as roll:
            roll.write(_lines(items))
        os.rename(path + ".new", path)
    except OSError:
        pass


def load(state_path: str) -> list[tuple[bytes, bytes]]:
    """All (goal, path) that can be read."""
    try:
        with open(os.path.join(state_path, NAME), "rb") as roll:
            lines = roll.read().split(b"\0")
    except OSError:
        return []
    good = (line[8:] for line in lines if len(line) > 40 and line[:8] == b"%08x" % zlib.crc32(line[8:]))
    return [(bytes.fromhex(text[:32].decode()), text[32:]) for text in good]
