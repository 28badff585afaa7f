"""Whatever lies in a trace file or comes over the socket: no exception, and no step that is trusted by mistake."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashmake.disk.disk import Disk
from hashmake.judge.account import Account
from hashmake.judge.accountant import Accountant
from hashmake.judge.engine import Engine
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.tree import Tree
from hashmake.model import letters
from hashmake.model.plugin import AnyProject
from hashmake.model.result import ROOT
from hashmake.model.tables import Tables
from hashmake.run import supervisor, trace
from hashmake.run.trace import TraceFile, traces_in
from hashmake.state.archive import Archive
from hashmake.state.database import Database

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PATH_KINDS = {bytes([kind]) for kind in b"rnslakdefwcutmMS"}
KINDS = b"rnslakdefwcutmMgGSCvpPDTOB!"
KNOWN = KINDS + b"+."  # calls that were announced: what becomes of them is the trace's affair
PATHS = st.sampled_from(
    [b"/nowhere/a", b"/nowhere/b/c", b"/etc/hostname", b"/etc", b"/", b"/usr/bin/../x", b"uname", b""]
)
TEXTS = PATHS | st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"/")) | st.just(b"/" + b"x" * 5000)
RECORDS = st.lists(st.tuples(st.sampled_from([bytes([k]) for k in KINDS]), TEXTS).map(b"".join), max_size=12)


def whole(records: list[bytes]) -> bytes:
    """The trace file of a step that did this, as it is when everything went well."""
    body = b"".join(record + b"\0" for record in records)
    tail = trace.HEADER.size + len(body)
    head = trace.HEADER.pack(trace.MAGIC, trace.VERSION, tail, 65536, 0, 1, 1)
    return (head + body).ljust(8192, b"\0") + bytes(64)


def read(data: bytes) -> tuple[list[bytes], bytes | None]:
    """The records of a trace file with these bytes, and why it can't be relied on."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        found = TraceFile(os.fsencode(file.name))
        early = found.records(final=False)
        return early + found.records(final=True), found.lost


def absorbed(records: list[bytes]) -> Account:
    """The account of a step with these records."""
    account = Account(0, 0)
    disk = Disk()
    accountant = Accountant(Tree(Tables(), disk), disk, b"/nowhere/.hashmake", lambda _account: set())
    accountant.absorb(account, records)
    return account


@MANY
@given(st.binary(max_size=200) | st.binary(min_size=trace.HEADER.size, max_size=200))
def test_any_bytes_are_a_trace_that_is_lost(data: bytes) -> None:
    """Without the magic number and the version there is nothing to believe."""
    records, lost = read(data)
    assert not records
    assert lost


@pytest.mark.parametrize(
    ("magic", "version", "tail"),
    [
        (5, 2, 64),
        (trace.MAGIC, 99, 64),
        (trace.MAGIC, 2, 1 << 62),
        (trace.MAGIC, 2, 60),
        (trace.MAGIC, 2, 62),
        (trace.MAGIC, 2, 9),
    ],
)
def test_a_header_that_is_wrong_is_a_lost_trace(magic: int, version: int, tail: int) -> None:
    """Another program's file or version, and lengths that are too long, too short, or end inside a record."""
    head = trace.HEADER.pack(magic, version, tail, 65536, 0, 1, 1)
    assert read(head + b"r/a\0n/b\0" + bytes(100))[1]


@MANY
@given(RECORDS, st.integers(0, trace.HEADER.size * 8 - 1))
def test_a_changed_header_loses_no_record_unnoticed(records: list[bytes], bit: int) -> None:
    """One bit of the header is another: the same records come out, or the trace is lost."""
    data = bytearray(whole(records))
    data[bit // 8] ^= 1 << bit % 8
    found, lost = read(bytes(data))
    assert lost or found == records


@MANY
@given(RECORDS.filter(bool), st.data())
def test_a_trace_that_was_cut_is_lost(records: list[bytes], choose: st.DataObject) -> None:
    """At any place before its end; and so is one with a hole."""
    data = whole(records)
    end = trace.HEADER.size + sum(len(record) + 1 for record in records)
    at = choose.draw(st.integers(0, end - 1))
    assert read(data[:at])[1]
    first = choose.draw(st.integers(trace.HEADER.size, end - 2))
    torn = data[:first] + bytes(end - first) + data[end:]
    assert read(torn)[1]


@MANY
@given(RECORDS)
def test_a_whole_trace_is_not_lost(records: list[bytes]) -> None:
    """So that the others say something."""
    assert read(whole(records)) == (records, None)


@MANY
@given(RECORDS, PATHS, RECORDS)
def test_a_call_that_never_ended_is_a_lost_trace(before: list[bytes], path: bytes, after: list[bytes]) -> None:
    """Nobody knows what it did; what came before it is read."""
    records, lost = read(whole([*before, letters.BEGUN + path, *after]))
    assert records[: len(before)] == before
    assert lost


@MANY
@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda data: data.replace(b"\0", b"w")), max_size=8) | RECORDS)
def test_any_records_are_an_account(records: list[bytes]) -> None:
    """One that can't be understood makes the step one that is not fully seen."""
    account = absorbed(records)
    unknown = [record for record in records if record[:1] not in {bytes([kind]) for kind in KNOWN}]
    relative = [record for record in records if record[:1] in PATH_KINDS and record[1:2] != b"/"]
    if unknown or relative or any(record[:1] == b"!" for record in records):
        assert account.unseen


class Peer:
    """A supervisor in a directory of its own, and a connection to it."""

    def __init__(self, folder: str) -> None:
        for name in ("run", "run/t", "db"):
            (Path(folder) / name).mkdir()
        self.db = Database(f"{folder}/db")
        recording = Archive(self.db).load()
        disk = Disk()
        own = os.fsencode(folder)
        run = os.fsencode(f"{folder}/run")
        tree = Tree(recording.tables, disk)
        evaluation = Evaluation(recording, recording.goal(b"g" * 16), tree, disk, AnyProject())
        self.engine = Engine(evaluation, traces_in(run), own, [], b"", lambda _step: None)
        environment = self.engine.environments.of(b"")
        self.root = self.engine.starter.start(ROOT, b"k" * 16, own, [b"make"], environment, None)
        self.supervisor = supervisor.Supervisor(self.engine, f"{folder}/run", "", lambda: None)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(f"{folder}/run/sock")

    def say(self, data: bytes) -> None:
        """Send bytes, hang up, and let the supervisor do what it does about them."""
        self.socket.sendall(data)
        self.socket.close()
        for _ in range(3):
            self.supervisor.serve(0)
        while self.supervisor._severed:  # its step's processes are looked for, and there are none
            self.supervisor.serve(0)
        self.supervisor.close()
        self.db.close()


def message(kind: bytes, payload: bytes) -> bytes:
    """One message with its length."""
    return struct.pack("<I", 1 + len(payload)) + kind + payload


NUMBERS = st.sampled_from([0, 1, 2, 7, 0x7F, 0x100, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
STRINGS = [b"/\0/bin/sh\0sh\0-c\0x\0A=b\0", b"/\0/bin/sh\0sh\0HASHMAKE_RERUN=x\0", b"a\0b\0", b"\0\0\0\0\0", b""]


def ask(kind: int, parent: int, argc: int, strings: bytes) -> bytes:
    """A launcher's question."""
    return message(b"Q", struct.pack("<BIIII", kind, parent, 1, 18, argc) + strings)


def done(status: int, output: bytes) -> bytes:
    """A launcher's report."""
    return message(b"D", struct.pack("<IQQ", status, 1, 1) + output)


ASKS = st.builds(ask, st.sampled_from(b"RFx"), NUMBERS, NUMBERS, st.sampled_from(STRINGS))
DONES = st.builds(done, NUMBERS, st.binary(max_size=9))
OTHERS = st.builds(message, st.sampled_from([b"Q", b"D", b"M", b"W", b"A", b"z"]), st.binary(max_size=30))
BYTES = st.lists(ASKS | DONES | OTHERS | st.binary(max_size=12), max_size=5).map(b"".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BYTES)
def test_the_supervisor_survives_what_comes_over_its_socket(data: bytes) -> None:
    """And a step whose launcher talks nonsense, or hangs up, has not ended well."""
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(folder)
        peer.say(data)
        assert set(peer.engine.evaluation.running) == {peer.root.number}
        for ran in peer.engine.ending.log.ran:
            assert ran.code != 0 or data.count(b"D")
