"""The log of the last null build: a file of its own, for a null build opens no database."""

import os
import struct

from hashmake.model.packing import U32
from hashmake.state.directory import private


def save_null(state_path: str, last: int, words: list[str], wall_us: int) -> None:
    """A null build ended: its log. `last`: the number of the last build that was none."""
    build = max(last, last_null(state_path)[0]) + 1
    argv = b"\0".join(os.fsencode(w) for w in words)
    try:
        with private(os.path.join(state_path, "null")) as log:
            log.write(U32.pack(build) + U32.pack(wall_us) + argv)
    except OSError:
        pass  # a full disk does not make a null build fail


def last_null(state_path: str) -> tuple[int, bytes]:
    """The number of the last null build (0: none) and its log: wall time in us, words joined by NUL."""
    try:
        with open(os.path.join(state_path, "null"), "rb") as log:
            data = log.read()
        return U32.unpack_from(data)[0], data[4:]
    except (OSError, struct.error):
        return 0, b""
