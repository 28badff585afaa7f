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

import errno
import os
import stat
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from typing import BinaryIO

ABSENT = b""
DIRECTORY = b"D"
OTHER = b"O"
_X = 0o111
# Above this a fresh buffer for each file costs more (page faults) than copying through one that stays in the cache.
_WHOLE = 1 << 17
_PIECE = 1 << 18
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def of_bytes(data: bytes) -> bytes:
    """XXH3-128 of data, 16 bytes."""
    return xxhash.xxh3_128_digest(data)


def head_of(st: os.stat_result) -> bytes:
    """The part of a version that stat tells: type, execute bit and size (not a link's target)."""
    mode = st.st_mode
    if stat.S_ISREG(mode):
        return (b"Fx" if mode & _X else b"F-") + st.st_size.to_bytes(8, "little")
    if stat.S_ISDIR(mode):
        return DIRECTORY
    return OTHER


def of_file(path: bytes, plain: bool = False) -> tuple[bytes, os.stat_result | None]:
    """The version behind path, links followed, and the stat taken before reading. Never raises for a missing file.

    A file that can't be read for another reason than absence (EACCES) has version OTHER. `plain`: it was recorded as a
    regular file, so that no look before the open is needed; what has taken its place can't block us.
    """
    try:
        if not plain:
            st = os.stat(path)
            if not stat.S_ISREG(st.st_mode):
                return head_of(st), st
        fd = os.open(path, _FLAGS)
    except OSError as error:
        return _unreadable(path, error)
    try:
        st = os.fstat(fd)
        if not stat.S_ISREG(st.st_mode):
            return head_of(st), st
        size = st.st_size
        if size <= _WHOLE:
            data = os.read(fd, size + 1)
            if len(data) == size:
                x = b"Fx" if st.st_mode & _X else b"F-"
                return x + size.to_bytes(8, "little") + xxhash.xxh3_128_digest(data), st
            os.lseek(fd, 0, os.SEEK_SET)
        return _of_large(fd, st), st
    except OSError:
        return OTHER, None
    finally:
        os.close(fd)


def open_plain(path: bytes) -> "BinaryIO":
    """Open a regular file for reading; OSError for anything else.

    A fifo would make us wait for who writes to it, or take what is meant for a step; opening a device may do anything.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(path))
    return os.fdopen(os.open(path, _FLAGS), "rb")


def _unreadable(path: bytes, error: OSError) -> tuple[bytes, os.stat_result | None]:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) or error.errno == 40:  # ELOOP
        return ABSENT, None
    try:
        st = os.stat(path)
    except OSError:
        return ABSENT, None
    return (OTHER if stat.S_ISREG(st.st_mode) else head_of(st)), st


def _of_large(fd: int, st: os.stat_result) -> bytes:
    """Hash in pieces; the size is what was read, so a file that grows meanwhile differs from any recorded version."""
    hasher = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_PIECE))
    size = 0
    while count := os.readv(fd, (buffer,)):
        hasher.update(buffer[:count])
        size += count
    return (b"Fx" if st.st_mode & _X else b"F-") + size.to_bytes(8, "little") + hasher.digest()


def of_path(path: bytes) -> tuple[bytes, os.stat_result | None]:
    """The version of path itself: a link is a link."""
    try:
        st = os.lstat(path)
    except OSError:
        return ABSENT, None
    if stat.S_ISLNK(st.st_mode):
        try:
            return b"L" + os.readlink(path), st
        except OSError:
            return ABSENT, None
    if stat.S_ISREG(st.st_mode):
        return of_file(path)
    return head_of(st), st


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
        return "link to " + os.fsdecode(version[1:])
    return {b"D": "directory", b"N": "listing", b"H": os.fsdecode(version[1:])}.get(kind, "special file")
