"""Numbers and lists of byte strings as bytes. Every null build passes through here."""

import struct

U32 = struct.Struct("<I")


def pack_list(items: list[bytes]) -> bytes:
    """A list: count, lengths, contents."""
    return struct.pack(f"<{len(items) + 1}I", len(items), *map(len, items)) + b"".join(items)


def unpack_list(data: bytes, start: int = 0) -> tuple[list[bytes], int]:
    """The byte strings of a list, and where it ends. Raises struct.error or ValueError on one that is cut short."""
    (count,) = U32.unpack_from(data, start)
    at = start + 4 + 4 * count
    if at > len(data):
        raise ValueError("a list that is cut short")
    items = []
    for length in struct.unpack_from(f"<{count}I", data, start + 4):
        items.append(data[at : at + length])
        at += length
    if at > len(data):
        raise ValueError("a list that is cut short")
    return items, at
