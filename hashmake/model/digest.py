"""Versions: what a path held, as bytes that are equal exactly when the contents are.

A version is one of
    b""                                   ABSENT: nothing there
    b"F" + x + size(8, LE) + XXH3-128(16) regular file; x is b"x" when any execute bit is set, else b"-"
    b"L" + target                         symbolic link
    b"D"                                  directory
    b"O"                                  anything else (fifo, socket, device)
    b"H" + text                           a fact about the host (a path that does not start with "/")
    b"N" + names joined by NUL            a directory listing, sorted
Times, owners and the other permission bits are no part of it: see docs/design.md, "What a version holds".
"""

import xxhash

ABSENT = b""
DIRECTORY = b"D"
OTHER = b"O"
FILE_SIZE = 26  # bytes in the version of a regular file

of_bytes = xxhash.xxh3_128_digest  # XXH3-128 of bytes: 16 bytes
Hasher = xxhash.xxh3_128  # the same, piece by piece


def head(version: bytes) -> bytes:
    """What stat tells of this version: for a regular file type, execute bit and size."""
    return version[:10] if version[:1] == b"F" else version


def access(version: bytes) -> bytes:
    """Type and execute bit: what the access call tells of this version."""
    return version[:2] if version[:1] == b"F" else version


def describe(version: bytes) -> str:
    """For people."""
    if not version:
        return "absent"
    kind = version[:1]
    if kind == b"F":
        size = int.from_bytes(version[2:10], "little")
        return f"{version[10:].hex()[:12] or 'file'} ({size} bytes{', executable' if version[1:2] == b'x' else ''})"
    if kind == b"L":
        return "link to " + _text(version[1:])
    return {b"D": "directory", b"N": "listing", b"H": _text(version[1:])}.get(kind, "special file")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
