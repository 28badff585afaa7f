"""Reading: the version of what lies on a path. Every null build passes through here."""

import errno
import os
import stat

from hashmake.model.digest import ABSENT, DIRECTORY, OTHER, Hasher, of_bytes

TYPE_CHECKING = False  # typing takes as long to load as a small null build
if TYPE_CHECKING:
    from typing import BinaryIO

_X = 0o111
# Above this a fresh buffer for each file costs more (page faults) than copying through one that stays in the cache.
_WHOLE = 1 << 17
_PIECE = 1 << 18
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


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
                return x + size.to_bytes(8, "little") + of_bytes(data), st
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
    hasher = Hasher()
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


def beginning(path: bytes) -> bytes:
    """The first 4 kB of a regular file; empty where there is none."""
    try:
        with open_plain(path) as file:
            return file.read(4096)
    except OSError:
        return b""
