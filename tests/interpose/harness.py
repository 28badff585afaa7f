"""A pretend run directory: trace and view files made with struct, and a supervisor that answers every question."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

import xxhash

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "hashmake" / "interpose"
VERSION = 15
TRACE_MAGIC = 0x52544D48
VIEW_MAGIC = 0x57564D48
TRACE_FIRST = 65536
TRACE_HEADER = struct.Struct("=IIQQIIII8Q")
TABLES = 10
VIEW_HEADER = struct.Struct(f"=II6Q{TABLES}Q")
HIDE, TIME = 1, 2
TIMES = 2  # of a trace
HIDDEN, PRESENT, LIVE, AHEAD, SOURCE, FOREIGN = 1, 2, 3, 4, 5, 6
TIME_BASE = 1_200_000_000
CAPACITY = DIRCAP = 4096


def build_library(folder: Path) -> Path:
    """Compile the interposer (and the launcher beside it) as the brief's build line says."""
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    library = folder / "libhashmake.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-Wframe-larger-than=768"]
    subprocess.run(
        ["gcc", *flags, "-fPIC", "-shared", "-fvisibility=hidden", "-o", str(library), *sources, "-ldl"], check=True
    )
    return library


class Record(NamedTuple):
    """One record of a trace."""

    kind: str
    text: str


class Trace(NamedTuple):
    """A decoded trace file."""

    records: list[Record]
    lost: bool
    expected: int
    hello: int

    def kinds(self, path: str | Path) -> str:
        """Give the kinds recorded for this path, in order."""
        return "".join(record.kind for record in self.records if record.text == str(path))

    def texts(self, kind: str) -> list[str]:
        """Give what was recorded under this kind, in order."""
        return [record.text for record in self.records if record.kind == kind]


def decode_trace(data: bytes) -> Trace:
    """Decode a trace file."""
    magic, version, tail, limit, flags, expected, hello, *_ = TRACE_HEADER.unpack_from(data)
    assert (magic, version) == (TRACE_MAGIC, VERSION)
    assert tail <= limit or flags & 1
    body = data[TRACE_HEADER.size : min(tail, len(data))]
    records = [Record(chr(part[0]), os.fsdecode(part[1:])) for part in body.split(b"\0") if part and part[:1] != b"."]
    return Trace(records, bool(flags & 1), expected, hello)


def path_hash(path: str | Path) -> int:
    """Hash a path as events.h says."""
    return xxhash.xxh64_intdigest(os.fsencode(path), 0) or 1


class RunDirectory:
    """HASHMAKE_RUN as the supervisor would make it, with a thread that acknowledges whatever is asked."""

    def __init__(self, folder: Path, library: Path) -> None:
        """Make the directory with an empty view and the trace of step 1."""
        self.folder = folder
        self.library = library
        self.asked: list[tuple[str, bytes]] = []
        self.wanted: dict[str, bytes] = {}
        self.next_step = 2
        self.step_flags = 0
        (folder / "t").mkdir(parents=True)
        self.make_trace(1)
        self.make_view({})
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(folder / "sock"))
        self.listener.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def make_trace(self, step: int, size: int = TRACE_FIRST, flags: int = 0) -> None:
        """Make the empty trace file of a step."""
        header = TRACE_HEADER.pack(TRACE_MAGIC, VERSION, TRACE_HEADER.size, size, flags, 0, 0, *[0] * 9)
        (self.folder / "t" / str(step)).write_bytes(header + bytes(size - len(header)))

    def make_view(
        self, states: dict[str | Path, int], flags: int = 0, seq: int = 100, tables: tuple[str | Path, ...] = ()
    ) -> None:
        """Make the view; states are values as in events.h (seq << 3 | state)."""
        slots = [(0, 0)] * CAPACITY
        for path, value in states.items():
            key = path_hash(path)
            at = key % CAPACITY
            while slots[at][0]:
                at = (at + 1) % CAPACITY
            slots[at] = (key, value)
        hashes = [path_hash(path) for path in tables]
        hashes += [0] * (TABLES - len(hashes))
        data = VIEW_HEADER.pack(VIEW_MAGIC, VERSION, CAPACITY, seq, 1, DIRCAP, flags, 0, *hashes)
        data += b"".join(struct.pack("=QQ", *slot) for slot in slots) + bytes(8 * DIRCAP)
        (self.folder / "view").write_bytes(data)

    def state(self, path: str | Path) -> int:
        """Give the view's state of a path now."""
        data = (self.folder / "view").read_bytes()
        key = path_hash(path)
        for at in range(CAPACITY):
            found, value = struct.unpack_from("=QQ", data, VIEW_HEADER.size + 16 * at)
            if found == key:
                return int(value & 7)
        return 0

    def environment(self, **more: str) -> dict[str, str]:
        """Give the environment of a traced process."""
        ours = {"HASHMAKE_RUN": str(self.folder), "HASHMAKE_STEP": "1", "LD_PRELOAD": str(self.library)}
        return {**os.environ, **ours, **more}

    def trace(self, step: int = 1) -> Trace:
        """Decode the trace of a step."""
        return decode_trace((self.folder / "t" / str(step)).read_bytes())

    def run(self, *command: str | Path, cwd: Path, **more: str) -> str:
        """Run a command as step 1 and give what it printed."""
        words = [str(word) for word in command]
        result = subprocess.run(words, cwd=cwd, env=self.environment(**more), stdout=subprocess.PIPE, check=False)
        assert result.returncode == 0, (words, result)
        return result.stdout.decode()

    def serve(self) -> None:
        """Answer connections until the process ends."""
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        """Answer the questions of one connection: every step is to be run, everything else is acknowledged."""
        with connection, connection.makefile("rb") as stream:
            while head := stream.read(4):
                message = stream.read(int.from_bytes(head, "little"))
                kind, payload = chr(message[0]), message[1:]
                self.asked.append((kind, payload))
                if kind == "W" and os.fsdecode(payload[4:]) in self.wanted:
                    path = os.fsdecode(payload[4:])
                    Path(path).write_bytes(self.wanted[path])
                if kind == "Q":
                    connection.sendall(struct.pack("=IBII", 9, ord("G"), self.next_step, self.step_flags))
                    self.next_step += 1
                else:
                    connection.sendall(struct.pack("=IB", 1, ord("A")))
