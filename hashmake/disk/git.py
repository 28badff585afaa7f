"""What git tracks in a work tree, read from its index: which files those are, and how old git takes them to be.

Only the entries are read, no extension and no object (the format: Documentation/gitformat-index.txt of git); what can't
be read counts as no work tree.
"""

import os
import stat
import struct

_HEADER = struct.Struct(">4sII")
_ENTRY = struct.Struct(
    ">10I"
)  # ctime s, ns; mtime s, ns; dev, ino, mode, uid, gid, size; then the object's name and flags
_FLAGS = struct.Struct(">H")
_EXTENDED = 0x4000
_MOST = 1 << 28


def tracked(directory: str) -> dict[bytes, int]:
    """The regular files that git tracks in the work tree around a directory, with the mtime (ns) in git's index."""
    top = directory
    while not os.path.lexists(os.path.join(top, ".git")):
        above = os.path.dirname(top)
        if above == top:
            return {}
        top = above
    try:
        place = _git_directory(top)
        with open(os.path.join(place, "index"), "rb") as file:
            data = file.read(_MOST)
        return _entries(data, _hash_size(place), os.fsencode(top))
    except (OSError, struct.error, ValueError, IndexError):
        return {}


def _git_directory(top: str) -> str:
    """Where the index is: `.git`, or what a file of that name says (git worktree, submodules)."""
    path = os.path.join(top, ".git")
    if os.path.isdir(path):
        return path
    with open(path) as file:
        key, _, value = file.read(1 << 16).partition(":")
    if key != "gitdir":
        raise ValueError(path)
    return os.path.join(top, value.strip())


def _hash_size(place: str) -> int:
    common = os.path.join(place, "commondir")
    if os.path.exists(common):
        with open(common) as file:
            place = os.path.join(place, file.read(1 << 16).strip())
    with open(os.path.join(place, "config"), errors="replace") as file:
        words = file.read(1 << 20).lower().replace(" ", "")
    return 32 if "objectformat=sha256" in words else 20


def _entries(data: bytes, hash_size: int, top: bytes) -> dict[bytes, int]:
    magic, version, count = _HEADER.unpack_from(data)
    if magic != b"DIRC" or version not in (2, 3, 4):
        raise ValueError(version)
    found: dict[bytes, int] = {}
    fixed = _ENTRY.size + hash_size + _FLAGS.size
    prefix = top.rstrip(b"/") + b"/"
    at = _HEADER.size
    name = b""
    for _ in range(count):
        _, _, seconds, ns, _, _, mode, *_ = _ENTRY.unpack_from(data, at)
        extended = version > 2 and _FLAGS.unpack_from(data, at + fixed - _FLAGS.size)[0] & _EXTENDED
        begin = at + fixed + (_FLAGS.size if extended else 0)
        if version == 4:
            strip, begin = _varint(data, begin)
            end = data.index(b"\0", begin)
            name = name[: len(name) - strip] + data[begin:end]
            at = end + 1
        else:
            end = data.index(b"\0", begin)
            name = data[begin:end]
            at += (end - at + 8) & ~7
        if stat.S_ISREG(mode):
            found[prefix + name] = seconds * 1_000_000_000 + ns
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number as in git's pack offsets, and where it ends."""
    byte = data[at]
    value = byte & 127
    while byte & 128:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 127)
    return value, at + 1
