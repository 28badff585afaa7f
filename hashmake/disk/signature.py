"""Signatures: what stat tells of a file that changes whenever the file does, coarse clocks aside."""

import os
import struct
import time

_SIGNATURE = struct.Struct("<QQqqqq")


def signature(st: os.stat_result, read_at_ns: int) -> bytes:
    """What changes whenever a file changes through the file system, coarse clocks aside; and when it was read.

    Packed: a build of 50,000 steps keeps 150,000 of them.
    """
    return _SIGNATURE.pack(st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns, read_at_ns)


class Signature:
    """A signature, unpacked."""

    __slots__ = ("ctime_ns", "dev", "ino", "mtime_ns", "read_at_ns", "size")

    def __init__(self, packed: bytes) -> None:
        self.dev, self.ino, self.size, self.mtime_ns, self.ctime_ns, self.read_at_ns = _SIGNATURE.unpack(packed)

    def granularity_ns(self) -> int:
        """See granularity_ns below."""
        return granularity_ns(self.ctime_ns)


def granularity_ns(ctime_ns: int) -> int:
    """How far apart two changes must be to be told apart by this file's ctime.

    The kernel stamps files with its tick (at most 10 ms); file systems without sub-second stamps show whole seconds.
    """
    return 1_000_000_000 if ctime_ns % 1_000_000_000 == 0 else 10_000_000


def changed_since(st: os.stat_result, moment_ns: int) -> bool:
    """Whether a file can have been written since: its status changed (its mtime may have been copied or set)."""
    return st.st_ctime_ns + granularity_ns(st.st_ctime_ns) > moment_ns


def unchanged(path: bytes, known: bytes) -> bool:
    """Whether a file still has the signature that it had when it was read, and the clock has not been set back since.

    Only for files that nobody has read: there times may save reading (design.md, rule 25). Linked files count as what
    the link leads to.
    """
    try:
        st = os.stat(path)
    except OSError:
        return False
    return signature(st, 0)[:40] == known[:40] and Signature(known).read_at_ns <= time.time_ns()
