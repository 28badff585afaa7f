"""The clean view: the shared table that tells every process of the build which products exist yet, and when.

Layout and meaning are in hashmake/interpose/events.h; tests/interpose/test_events.py compares the two.
"""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Sequence

import xxhash

from hashmake.run.trace import VERSION

MAGIC = 0x57564D48
TABLES = 10
HEADER = struct.Struct(f"<IIQQQQQQ{TABLES}Q")
HIDE, TIME, GIVEN_UP = 1, 2, 4
HIDDEN, PRESENT, LIVE, AHEAD, SOURCE, FOREIGN = 1, 2, 3, 4, 5, 6
TIME_BASE = 1_200_000_000
FIRST_SIGHT = 1 << 60  # in a moment: the rest is an eighth of the real time then, in ns (HM_FIRST_SIGHT)
_DIRECTORY_SLOTS = 1 << 14
_LEAST = 1 << 19
_ENTRY = struct.Struct("<QQ")
_SEQ = struct.Struct("<Q")
_SEQ_AT = 16
_FLAGS_AT = 40


def path_hash(path: bytes) -> int:
    """XXH64 of a path, or of a record; 0 stands for a free slot, so it is 1."""
    return xxhash.xxh64_intdigest(path) or 1


def first_sight(mtime_ns: int) -> int:
    """The moment of a path that is seen for the first time and has this real time."""
    return FIRST_SIGHT | min(max(mtime_ns, 0) // 8, FIRST_SIGHT - 1)


class View:
    """The table's only writer (but for LIVE, which the interposer sets).

    `tables`: paths of which it counts who reads them. `full`: there was no room for a path that nobody expected; it is
    as if it had no entry, and the build has to be evaluated again, with a larger table.
    """

    def __init__(self, file: bytes, expected: int, flags: int, seq: int, tables: Sequence[bytes] = ()) -> None:
        capacity = _LEAST
        while capacity < expected * 4:
            capacity *= 2
        self._mask = capacity - 1
        self._room = capacity // 2
        self.full = False
        self._flags = flags
        self._slots: dict[bytes, int] = {}
        size = HEADER.size + capacity * 16 + _DIRECTORY_SLOTS * 8
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)  # a full /dev/shm is an error here, not SIGBUS later
            fcntl.flock(fd, fcntl.LOCK_SH)  # as every traced process does: kept by the mapping, shows that we live
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        hashes = [path_hash(path) for path in tables][:TABLES]
        hashes += [0] * (TABLES - len(hashes))
        began = time.time_ns()
        HEADER.pack_into(self._map, 0, MAGIC, VERSION, capacity, seq, 1, _DIRECTORY_SLOTS, flags, began, *hashes)

    def set(self, path: bytes, state: int, seq: int) -> None:
        """Set a path's entry; new entries appear value first, so that no reader sees half of one."""
        at = self._slots.get(path)
        if at is not None:
            _SEQ.pack_into(self._map, at + 8, seq << 3 | state)
            return
        if len(self._slots) >= self._room:
            self.full = True
            return
        key = path_hash(path)
        slot = key & self._mask
        table = self._map
        while True:
            at = HEADER.size + slot * 16
            there = _SEQ.unpack_from(table, at)[0]
            if there == 0:
                _SEQ.pack_into(table, at + 8, seq << 3 | state)
                _SEQ.pack_into(table, at, key)
                break
            if there == key:
                _SEQ.pack_into(table, at + 8, seq << 3 | state)
                break
            slot = (slot + 1) & self._mask
        self._slots[path] = at

    def give_up(self) -> None:
        """This evaluation ends in another one; see HM_VF_GIVEN_UP."""
        self._flags |= GIVEN_UP
        _SEQ.pack_into(self._map, _FLAGS_AT, self._flags)

    def moment(self, seq: int) -> None:
        """The highest sequence number given so far."""
        if seq < FIRST_SIGHT:
            _SEQ.pack_into(self._map, _SEQ_AT, seq)

    def made(self, path: bytes, seq: int, there: bool, on_disk: bool) -> None:
        """A step made path (or is judged to have): tree.Watcher."""
        state = (PRESENT if on_disk else AHEAD) if there else HIDDEN
        self.set(path, state, seq)
        self.moment(seq)

    def close(self) -> None:
        """Unmap."""
        self._map.close()
