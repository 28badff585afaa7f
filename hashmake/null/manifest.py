"""The manifest of a null check, as bytes.

It is made at the end of a complete build: every input and every product with its version, what must be absent, what
must be listed how. Layout: twelve lists (packing.py): paths to read, their versions; paths to look at, what the look
must see; paths to find absent; directories to list, the names expected, and the names of products in them, to be left
out (names joined by NUL, one string a directory); the goals, for what is said; paths that were only looked at, their
versions, and the signatures that save reading them (disk/signature.py; empty: none).
"""

import struct

from hashmake.errors import Damaged
from hashmake.model.packing import pack_list, unpack_list

READS, LOOKS, ABSENT, LISTED, GOALS, LAZY = 0, 2, 4, 5, 8, 9  # where each group of lists begins (../looker/looker.h)

Lists = list[bytes]
Manifest = tuple[Lists, Lists, Lists, Lists, Lists, Lists, Lists, Lists, Lists, Lists, Lists, Lists]


def unpack_manifest(data: bytes) -> Manifest:
    """The manifest of a null check. Raises Damaged."""
    lists = []
    try:
        at = 0
        for _ in range(12):
            items, at = unpack_list(data, at)
            lists.append(items)
    except (struct.error, ValueError) as error:
        raise Damaged("unreadable manifest") from error
    a, b, c, d, e, f, g, h, i, j, k, l_ = lists
    if not (len(a) == len(b) and len(c) == len(d) and len(f) == len(g) == len(h) and len(j) == len(k) == len(l_)):
        raise Damaged("unreadable manifest")
    return a, b, c, d, e, f, g, h, i, j, k, l_


def pack_manifest(manifest: Manifest) -> bytes:
    """The inverse of unpack_manifest."""
    return b"".join(pack_list(part) for part in manifest)
