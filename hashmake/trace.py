"""Trace files: decoding what the interposer wrote (hashmake/interpose/events.h is the contract)."""

import os
import struct

from hashmake.errors import Protocol

VERSION = 2
MAGIC = 0x52544D48
HEADER = struct.Struct("<IIQQIII20x")
LOST = 1

READ = b"r"
ABSENT = b"n"
STAT = b"s"
LSTAT = b"l"
ACCESS = b"a"
LOOK = b"k"
LIST = b"d"
ENTRY = b"e"
LISTED = b"f"
WRITE = b"w"
REMOVE = b"u"
MOVEDIR = b"m"
MOVEDIR_TO = b"M"
TOUCH = b"t"
CHMOD = b"c"
GETENV = b"g"
ENVIRON = b"G"
SCRIPT = b"S"
TEXT = b"C"
HOST = b"v"
MAKE = b"P"
GOAL = b"D"
UNSEEN = b"!"


class TraceFile:
    """One step's trace, read piece by piece while the step runs.

    lost      None, or why the trace can't be relied on
    """

    __slots__ = ("_fd", "_offset", "lost", "path")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self._fd = -1
        self._offset = HEADER.size
        self.lost: bytes | None = None

    def records(self, final: bool) -> list[bytes]:
        """The records since the last call. `final`: every process of the step has ended; the file is closed."""
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                if final:
                    self.lost = b"no trace"
                return []
        tail, flags, expected, hello = self._header()
        data = os.pread(self._fd, max(0, tail - self._offset), self._offset) if tail > self._offset else b""
        if not final:
            # A writer may be between its claim and its copy: take whole records only.
            hole = data.find(b"\0\0")
            if hole >= 0:
                data = data[: hole + 1]
            data = data[: data.rfind(b"\0") + 1]
        self._offset += len(data)
        records = data.split(b"\0")
        records.pop()
        if final:
            self._judge(records, tail, flags, expected, hello)
            os.close(self._fd)
            self._fd = -1
        return records

    def _header(self) -> tuple[int, int, int, int]:
        head = os.pread(self._fd, HEADER.size, 0)
        if len(head) < HEADER.size:
            return HEADER.size, LOST, 0, 0
        magic, version, tail, _limit, flags, expected, hello = HEADER.unpack(head)
        if magic == 0:  # its launcher is still making it
            return HEADER.size, 0, 0, 0
        if magic != MAGIC or version != VERSION:
            raise Protocol(f"{os.fsdecode(self.path)}: trace of version {version}, this is {VERSION}")
        return tail, flags, expected, hello

    def _judge(self, records: list[bytes], tail: int, flags: int, expected: int, hello: int) -> None:
        if flags & LOST:
            self.lost = b"trace overflow"
        elif self._offset != tail or b"" in records:
            self.lost = b"a process was killed while it was being traced"
        elif expected != hello:
            self.lost = b"a program ran without the interposer"

    def close(self) -> None:
        """Give up on it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
