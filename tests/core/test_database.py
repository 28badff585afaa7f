"""The database: what is saved comes back; what can't be believed is refused."""

from __future__ import annotations

import os
from array import array
from pathlib import Path

import pytest

from hashmake.errors import Damaged
from hashmake.model import kinds, tables
from hashmake.model.course import Course
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, RECIPE, Result, ResultId
from hashmake.model.tables import PathId
from hashmake.state.archive import Archive
from hashmake.state.database import Database
from hashmake.state.schema import SCHEMA


def filled() -> Recording:
    recording = Recording()
    t = recording.tables
    a, out = t.path(b"/w/a"), t.path(b"/w/with\nnewline \xff")
    result = Result(b"k" * 16, RECIPE, PathId(0), [b"/bin/sh", b"sh", b"-c", b"x"])
    result.facts = array("I", [t.fact(kinds.READ, a, t.value(b"F-12345678abcdefghijklmnop"))])
    result.outs = array("I", [out, 0, t.value(b"D")])
    result.env = recording.env_sets.number(b"A=1\0B")
    recording.accept(result)
    goal = recording.goal(b"g" * 16)
    recording.product(goal, out, tables.NO_VALUE, t.value(b"D"), 7)
    goal.set_root(b"i" * 16, result)
    recording.sources[a] = (t.value(b"F-12345678abcdefghijklmnop"), 3)
    return recording


def test_a_recording_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """Also names with newlines and bytes that are no UTF-8."""
    db = Database(str(tmp_path))
    archive = Archive(db)
    recording = filled()
    archive.save(recording, archive.moments(recording))
    db.close()
    db = Database(str(tmp_path))
    back = Archive(db).load()
    assert back.tables.paths == recording.tables.paths
    assert back.tables.values == recording.tables.values
    assert back.tables.fact_value == recording.tables.fact_value
    assert back.products == recording.products
    assert back.sources == recording.sources
    (result,) = back.candidates(b"k" * 16)
    assert result.pack() == next(recording.candidates(b"k" * 16)).pack()
    assert back.goal(b"g" * 16).products == recording.goal(b"g" * 16).products
    assert back.goal(b"g" * 16).complete == recording.goal(b"g" * 16).complete
    db.close()


def test_two_saves_add_up(tmp_path: Path) -> None:
    """Each save writes only what is new."""
    db = Database(str(tmp_path))
    archive = Archive(db)
    recording = filled()
    archive.save(recording)
    recording.tables.path(b"/w/later")
    archive.save(recording)
    assert Archive(db).load().tables.paths == recording.tables.paths
    db.close()


def test_old_results_of_a_step_with_make_in_it_are_deleted(tmp_path: Path) -> None:
    """They name every file below; each edit makes another one. That of a goal stays, however old; so do plain steps."""
    db = Database(str(tmp_path))
    archive = Archive(db)
    recording = filled()
    for flags in (0, COMPOSITE):
        for number in range(10):
            result = Result((b"make's" if flags else b"plain").ljust(16), RECIPE, PathId(0), [b"%d" % number])
            result.flags, result.env = flags, recording.env_sets.number(b"N=%d" % number)
            result = recording.accept(result)
            if flags:
                recording.learn_course(result.id, Course(0))
            if number == 0:
                recording.goal(b"g" * 16).set_root(b"%d" % flags * 16, result)
            archive.save(recording)
    names = [Result.unpack(ResultId(1), row).argv[0] for _key, row in db.scan(b"r") if row[:6] == b"make's"]
    assert names == [b"0", b"7", b"8", b"9"]
    assert len(db.scan(b"y")) == 4
    assert len([row for _key, row in db.scan(b"r") if row[:5] == b"plain"]) == 10
    assert [r.argv for r in Archive(db).load().candidates(b"make's".ljust(16))] == [[b"9"], [b"8"], [b"7"]]
    db.close()


def test_a_cut_file_is_refused_before_it_kills_the_process(tmp_path: Path) -> None:
    """LMDB would die of SIGBUS."""
    db = Database(str(tmp_path))
    archive = Archive(db)
    for n in range(200):
        db.put_all({b"z%d" % n: os.urandom(4000)})
    archive.save(filled())
    db.sync()
    db.close()
    data = tmp_path / "data.mdb"
    for size in (data.stat().st_size // 2, 4096, 100, 0):
        os.truncate(data, size)
        with pytest.raises(Damaged):
            Database(str(tmp_path))


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Every record carries a checksum of key and value."""
    db = Database(str(tmp_path))
    db.put_all({b"x": b"precious" * 20})
    db.sync()
    db.close()
    data = tmp_path / "data.mdb"
    content = bytearray(data.read_bytes())
    at = content.find(b"precious")
    content[at] ^= 4
    data.write_bytes(content)
    db = Database(str(tmp_path))
    with pytest.raises(Damaged):
        db.get(b"x")
    db.close()


def test_another_version_is_refused_by_name(tmp_path: Path) -> None:
    """The message says both versions."""
    db = Database(str(tmp_path))
    db.put_all({b"V": b"\x63\0\0\0"})
    db.close()
    with pytest.raises(Damaged, match="version 99"):
        Database(str(tmp_path))


def test_the_database_page_is_the_schema_text() -> None:
    """docs/database.md is generated: `python -m tests.core.test_database` rewrites it."""
    page = Path(__file__).parents[2] / "docs" / "database.md"
    assert page.read_text() == PAGE


PAGE = f"# The database\n\nGenerated from `hashmake/state/schema.py`; do not edit.\n\n{SCHEMA}"

if __name__ == "__main__":
    (Path(__file__).parents[2] / "docs" / "database.md").write_text(PAGE)
