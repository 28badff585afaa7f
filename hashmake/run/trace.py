"""Trace files: decoding what the interposer wrote (hashmake/interpose/events.h is the contract)."""

import os
import struct
from collections.abc import Callable

from hashmake.model.letters import ABSENT, BEGUN, WRITE

VERSION = 15
MAGIC = 0x52544D48
FIRST = 65536  # bytes that a new one has
HEADER = struct.Struct("<IIQQIII4x64x")
LOST, TIMES, KEEP, KEEP_ERR, WATCH = 1, 2, 8, 16, 32


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
        end = min(tail, os.fstat(self._fd).st_size)
        data = os.pread(self._fd, end - self._offset, self._offset) if end > self._offset else b""
        if not final:
            # A writer may be between its claim and its copy, or in the call that it has announced: take whole records
            # only, and those up to there.
            for stop in (b"\0\0", b"\0" + BEGUN):
                at = (b"\0" + data).find(stop)
                if at >= 0:
                    data = data[:at]
            data = data[: data.rfind(b"\0") + 1]
        self._offset += len(data)
        records = data.split(b"\0")
        rest = records.pop()
        if final:
            # What was claimed ends with a record, and nothing was written beyond it.
            whole = self._offset == tail and not rest and os.pread(self._fd, 1, tail) in (b"", b"\0")
            whole = whole and b"" not in records and not any(r[:1] == BEGUN for r in records)
            self._judge(whole, flags, expected, hello)
            os.close(self._fd)
            self._fd = -1
        return records

    def confirm(self, tail: int) -> bool:
        """At the step's end: whether it ends at this offset, and was read by nobody yet. It is judged then."""
        if self._fd >= 0:
            return False
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        there, flags, expected, hello = self._header()
        same = there == tail and os.pread(self._fd, 1, tail) in (b"", b"\0")
        if same:
            self._judge(True, flags, expected, hello)
        self.close()
        return same

    def so_far(self) -> list[bytes]:
        """The records from the beginning; nothing stays open, for any number of steps may be looked at so."""
        self._offset = HEADER.size
        try:
            return self.records(final=False)
        finally:
            self.close()

    def remains(self) -> list[bytes]:
        """Every record of a step that is dead: also what comes after a hole, or after a call that never ended."""
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return []
        end = min(self._header()[0], os.fstat(self._fd).st_size)
        data = os.pread(self._fd, max(end - HEADER.size, 0), HEADER.size)
        self.close()
        return [record for record in data.split(b"\0") if record]

    def _header(self) -> tuple[int, int, int, int]:
        head = os.pread(self._fd, HEADER.size, 0)
        if len(head) < HEADER.size:
            return HEADER.size, LOST, 0, 0
        magic, version, tail, _limit, flags, expected, hello = HEADER.unpack(head)
        if magic == 0:  # its launcher is still making it, or never came to the end of that
            return HEADER.size, LOST, 0, 0
        if magic != MAGIC or version != VERSION:
            self.lost = b"a trace of version %d, this is %d" % (version, VERSION)
            return HEADER.size, LOST, 0, 0
        return tail, flags, expected, hello

    def _judge(self, whole: bool, flags: int, expected: int, hello: int) -> None:
        if flags & LOST:
            self.lost = self.lost or b"trace overflow"
        elif not whole:
            self.lost = b"a process was killed while it was being traced"
        elif expected != hello:
            self.lost = b"a program ran without the interposer"

    def remove(self) -> None:
        """It is taken in, and what it told is saved."""
        try:
            os.unlink(self.path)
        except OSError:
            pass  # it goes with the run directory

    def close(self) -> None:
        """Give up on it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Journal:
    """What a build puts into the tree itself, as a trace of no step: where the build after a killed one learns it."""

    def __init__(self, run_dir: bytes) -> None:
        self._path = run_dir + b"/t/restored"
        self._fd = -1

    def note(self, paths: list[tuple[bytes, bool]]) -> None:
        """Before these are written: each with whether nothing is there. Raises OSError."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(self._fd, HEADER.pack(MAGIC, VERSION, 1 << 40, 0, 0, 0, 0))
        told = [ABSENT + path + b"\0" + WRITE + path + b"\0" if new else WRITE + path + b"\0" for path, new in paths]
        os.write(self._fd, b"".join(told))

    def close(self) -> None:
        """It stays in the run directory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def traces_in(run_dir: bytes) -> Callable[[int], TraceFile]:
    """Opens the traces of a build's steps by their numbers."""
    return lambda number: TraceFile(run_dir + b"/t/%d" % number)


def make_trace(path: str) -> None:
    """The trace file of the root step (launchers make those of all others)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, FIRST)
        os.pwrite(fd, HEADER.pack(MAGIC, VERSION, HEADER.size, FIRST, 0, 1, 0), 0)
    finally:
        os.close(fd)
