"""The known records: a shared table by which launchers tell in numbers what others have looked at before.

Layout and meaning are in hashmake/interpose/events.h; tests/interpose/test_events.py compares the two.
"""

import contextlib
import mmap
import os
import struct

from hashmake.run.trace import VERSION
from hashmake.run.view import path_hash

MAGIC = 0x4B574D48
HEADER = struct.Struct("<IIQQ")
_ENTRY = struct.Struct("<QQ")
_NUMBER = struct.Struct("<Q")
_GENERATION_AT = 16
_LEAST = 1 << 15


class KnownRecords:
    """The table's only writer. Where there is no room for it (a full /dev/shm) there is none, and traces are read."""

    def __init__(self, run_dir: bytes) -> None:
        self._path = run_dir + b"/known"
        self._map: mmap.mmap | None = None
        self._capacity = self._used = self._generation = 0
        self._make(_LEAST, b"")

    def learned(self, record: bytes, fact: int) -> None:
        """A record tells this now."""
        if self._map is not None and self._used > self._capacity // 2:
            self._make(self._capacity * 4, self._map[HEADER.size :])
        self._put(path_hash(record), fact)

    def forgot(self, record: bytes) -> None:
        """It does no longer. The table says so before it says that it has changed."""
        self._generation += 1
        self._put(path_hash(record), 0)
        if self._map is not None:
            _NUMBER.pack_into(self._map, _GENERATION_AT, self._generation)

    def close(self) -> None:
        """Unmap."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def _make(self, capacity: int, entries: bytes) -> None:
        """A table of this capacity with these entries, in the place of the one before; none where that fails."""
        new = self._path + b".new"
        self.close()
        try:
            self._map = _table(new, HEADER.size + capacity * _ENTRY.size)
            self._capacity, self._used = capacity, 0
            for key, fact in _ENTRY.iter_unpack(entries):
                if fact:
                    self._put(key, fact)
            HEADER.pack_into(self._map, 0, MAGIC, VERSION, capacity, self._generation)
            os.rename(new, self._path)
        except OSError:
            self.close()
            for path in (new, self._path):
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def _put(self, key: int, fact: int) -> None:
        table = self._map
        if table is None:
            return
        slot = key & (self._capacity - 1)
        while True:
            at = HEADER.size + slot * _ENTRY.size
            there = _NUMBER.unpack_from(table, at)[0]
            if there in (0, key):
                _NUMBER.pack_into(table, at + 8, fact)  # first: no launcher may see a key without it
                if not there:
                    _NUMBER.pack_into(table, at, key)
                    self._used += 1
                return
            slot = (slot + 1) & (self._capacity - 1)


def _table(path: bytes, size: int) -> mmap.mmap:
    """A new file of zeros, mapped. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)  # a full /dev/shm is an error here, not SIGBUS later
        return mmap.mmap(fd, size)
    finally:
        os.close(fd)
