"""Numbers and lists of byte strings as bytes."""

import struct
from array import array

U32 = struct.Struct("<I")


def pack_list(items: list[bytes]) -> bytes:
    """A list: count, lengths, contents."""
    lengths = array("I", map(len, items))
    return U32.pack(len(items)) + lengths.tobytes() + b"".join(items)


def unpack_list(data: bytes) -> tuple[list[bytes], int]:
    """The byte strings of a list, and how many bytes it took."""
    (count,) = U32.unpack_from(data)
    lengths = array("I")
    lengths.frombytes(data[4 : 4 + 4 * count])
    items = []
    at = 4 + 4 * count
    for length in lengths:
        items.append(data[at : at + length])
        at += length
    return items, at
