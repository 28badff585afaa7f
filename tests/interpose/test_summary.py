"""launcher/summary.c against what it is to do (tests/summing.py), and the table that it goes by."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from summing import sum_up

from hashmake.run import known
from hashmake.run.known import KnownRecords

from . import harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Sums = Callable[[list[bytes]], tuple[list[int], list[bytes]] | None]

LAUNCHER = harness.SOURCES.parent / "launcher"


@pytest.fixture
def table(tmp_path: Path) -> Iterator[KnownRecords]:
    found = KnownRecords(os.fsencode(tmp_path))
    yield found
    found.close()


@pytest.fixture
def summed(program: Callable[..., Path], tmp_path: Path) -> Sums:
    sums = program("sums", f"-I{LAUNCHER}", str(LAUNCHER / "summary.c"))

    def run(records: list[bytes]) -> tuple[list[int], list[bytes]] | None:
        (tmp_path / "records").write_bytes(b"".join(record + b"\0" for record in records))
        done = subprocess.run([sums, tmp_path, tmp_path / "records"], capture_output=True, check=False)
        if done.returncode == 3:
            return None
        assert done.returncode == 0
        head, _, rest = done.stdout.partition(b"\n")
        count = int(head.split()[0])
        *numbers, text = rest.split(b"\n", count)
        return [int(number) for number in numbers], text.split(b"\0")[:-1]

    return run


def paths(chance: random.Random) -> bytes:
    return b"/w/%d/%s" % (chance.randrange(40), b"x" * chance.randrange(60))


def test_traces_of_any_kind_come_to_what_they_should(summed: Sums, table: KnownRecords) -> None:
    chance = random.Random(1)
    facts: dict[bytes, int] = {}
    for number in range(60):
        for _ in range(chance.randrange(2000)):
            record = bytes([chance.choice(b"rnslak")]) + paths(chance)
            facts[record] = chance.randrange(1, 1 << 32)
            table.learned(record, facts[record])
        for record in chance.sample(sorted(facts), min(20, len(facts))):
            facts[record] = 0
            table.forgot(record)
        kinds = b"rrrrnnnnslakgewutc." + (b"mMP+" if number % 8 == 0 else b"")
        records = [bytes([chance.choice(kinds)]) + paths(chance) for _ in range(chance.choice((5, 50, 3000)))]
        written = len({r[1:] for r in records if r[0] in b"wutc"})
        expected = sum_up(records, facts) if written <= 256 else None
        assert summed(records) == expected


def test_all_that_was_known_is_known_in_a_larger_table(summed: Sums, table: KnownRecords) -> None:
    records = [b"r/%d" % number for number in range(40_000)]
    for number, record in enumerate(records):
        table.learned(record, number + 1)
    assert summed(records[:6000]) == ([*range(1, 6001)], [])
    assert summed(records[-6000:]) == ([*range(34_001, 40_001)], [])


def test_an_empty_record_and_one_that_is_cut_short_are_left_to_the_supervisor(
    summed: Sums, table: KnownRecords, tmp_path: Path, program: Callable[..., Path]
) -> None:
    assert summed([b"r/a", b"", b"r/b"]) is None
    (tmp_path / "records").write_bytes(b"r/a\0r/b")
    assert subprocess.run([program("sums"), tmp_path, tmp_path / "records"], check=False).returncode == 3


def test_without_a_table_there_is_no_summary(summed: Sums, tmp_path: Path) -> None:
    assert summed([b"r/a"]) is None
    (tmp_path / "known").write_bytes(b"short")
    assert summed([b"r/a"]) is None
    (tmp_path / "known").write_bytes(known.HEADER.pack(known.MAGIC, 1, 1 << 10, 0) + bytes(16 << 10))
    assert summed([b"r/a"]) is None
    (tmp_path / "known").write_bytes(known.HEADER.pack(known.MAGIC, harness.VERSION, 1 << 20, 0) + bytes(16 << 10))
    assert summed([b"r/a"]) is None


def test_taking_back_counts_and_comes_before_the_count(table: KnownRecords, tmp_path: Path) -> None:
    table.learned(b"r/a", 5)
    table.forgot(b"r/a")
    table.forgot(b"r/b")
    data = (tmp_path / "known").read_bytes()
    assert known.HEADER.unpack_from(data)[3] == 2
    entries = [entry for entry in struct.iter_unpack("<QQ", data[known.HEADER.size :]) if entry[0]]
    assert [fact for _key, fact in entries] == [0, 0]


def test_where_there_is_no_room_nothing_is_shared(tmp_path: Path) -> None:
    table = KnownRecords(os.fsencode(tmp_path / "nowhere"))
    table.learned(b"r/a", 5)
    table.forgot(b"r/a")
    table.close()
