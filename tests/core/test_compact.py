"""Compaction: what builds can still reach stays, everything else goes."""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING

from hashmake.model import kinds
from hashmake.model.result import COMPOSITE, RECIPE, ROOT, Result
from hashmake.model.tables import ValueId
from hashmake.state import compact
from hashmake.state.archive import Archive
from hashmake.state.database import Database

if TYPE_CHECKING:
    from pathlib import Path

    from hashmake.model.recording import Recording

GOAL = b"g" * 16


def plain(recording: Recording, name: str, source: str, environment: bytes, token: bytes = b"") -> Result:
    """A step that makes NAME.o of NAME.c in this version."""
    t = recording.tables
    result = Result(name.encode().ljust(16), RECIPE, t.path(b"/w"), [b"cc", b"cc", name.encode()])
    result.facts = array(
        "I", [t.fact(kinds.READ, t.path(b"/w/%s.c" % name.encode()), t.value(b"F-" + source.encode()))]
    )
    result.outs = array("I", [t.path(b"/w/%s.o" % name.encode()), 0, t.value(b"F-o" + source.encode())])
    result.env = recording.env_sets.number(b"CI=" + environment)
    result.full_env = recording.env_blocks.number(
        b"CI=" + environment + b"\0HOME=/\0TOKEN=" + random.Random(environment).randbytes(500)
    )
    return recording.accept(result)


def build(recording: Recording, number: int, names: list[str], turns: bool = False) -> None:
    """A complete build: steps with sources of this number, the root over them, and thirty more steps.

    These stay as they are, or of ten one has changed, and ran with an environment of its own.
    """
    recording.build += 1
    kids = [plain(recording, name, f"{name}{number}", b"%d" % number) for name in names]
    for each in range(30):
        changes = (number + each) // 10 if turns else 0
        token = random.Random(changes).randbytes(500) if changes else b""
        kids.append(plain(recording, f"same{each}", f"same{changes}", b"same%d" % changes, token))
    root = Result(GOAL, ROOT, recording.tables.path(b"/w"), [b"make"])
    root.flags = COMPOSITE
    root.kids = array("I", [kid.id for kid in kids])
    root.facts = array("I", sorted(fid for kid in kids for fid in kid.facts))
    names_number = recording.env_sets.number(b"CC\0CFLAGS")
    root.env = recording.env_sets.number(b"\2%d=0123" % names_number)
    goal = recording.goal(GOAL)
    for kid in kids:
        root.outs.extend(kid.outs)
        for pid, pre, post in kid.outputs():
            recording.product(goal, pid, pre, post, recording.build)
    goal.set_root(b"%016d" % number, recording.accept(root))
    recording.sources[recording.tables.path(b"/w/Makefile")] = (recording.tables.value(b"F-makefile"), 1)


def filled(directory: Path, builds: int, first: int = 0, turns: bool = False) -> None:
    directory.mkdir(exist_ok=True)
    db = Database(str(directory))
    archive = Archive(db)
    recording = archive.load()
    for number in range(first, first + builds):
        build(recording, number, ["a", "b"] if number < 3 else ["a"], turns)
        archive.save(recording, {**archive.moments(recording), b"T" + b"1F-gone": b"x"})
        db.save_log(recording.build, [b"{}"])
    db.close()


def test_what_is_reached_stays_as_it_was(tmp_path: Path) -> None:
    """Goals, products, the results below the last builds, and those that make the same: with their facts, as text."""
    filled(tmp_path, 40)
    db = Database(str(tmp_path))
    before = Archive(db).load()
    db.close()
    compact.compact(str(tmp_path))
    db = Database(str(tmp_path))
    after = Archive(db).load()
    for name in (b"/w/a.o", b"/w/b.o"):
        old, new = before.tables.path_ids[name], after.tables.path_ids[name]
        assert before.products[old][1] == after.products[new][1]
        assert before.tables.values[before.products[old][0]] == after.tables.values[after.products[new][0]]
        assert after.writers[new] == GOAL
    assert len(after.goal(GOAL).products) == 32
    assert [digest for digest, _ in after.goal(GOAL).roots] == [b"%016d" % n for n in (38, 39)]
    latest = list(after.candidates(b"a".ljust(16)))
    assert 2 < len(latest) < 40
    assert [each.build for each in latest] == list(range(40, 40 - len(latest), -1))
    for result in latest:
        (fid,) = result.facts
        assert after.tables.paths[after.tables.fact_path[fid]] == b"/w/a.c"
        assert after.tables.values[after.tables.fact_value[fid]].startswith(b"F-a")
        assert b"HOME=/" in after.env_blocks.all[result.full_env]
    root = after.result(after.goal(GOAL).roots[-1][1])
    assert root is not None
    assert root.kids[0] == latest[0].id
    text = after.env_sets.all[root.env]
    assert after.env_sets.all[int(text[1:].partition(b"=")[0])] == b"CC\0CFLAGS"
    # b is in no goal any more; what lies there is still known to be what a step made.
    assert list(after.candidates(b"b".ljust(16)))
    assert after.made_by_step(
        after.tables.path_ids[b"/w/b.o"], ValueId(after.products[after.tables.path_ids[b"/w/b.o"]][0])
    )
    assert len(db.logs()) == 20
    assert (after.seq, after.build, after.next_result) == (before.seq, before.build, before.next_result)
    db.close()


def test_what_nothing_reaches_is_gone(tmp_path: Path) -> None:
    filled(tmp_path, 200)
    size = (tmp_path / "data.mdb").stat().st_size
    compact.compact(str(tmp_path))
    assert (tmp_path / "data.mdb").stat().st_size < size / 3
    assert not (tmp_path.with_name(tmp_path.name + ".new")).exists()
    db = Database(str(tmp_path))
    after = Archive(db).load()
    assert b"F-a100" not in after.tables.value_ids
    assert b"F-a199" in after.tables.value_ids
    assert len(after.env_blocks.all) < 20
    assert db.get(b"T1F-gone") is None
    # Compacted once more it is the same.
    db.close()
    compact.compact(str(tmp_path))
    db = Database(str(tmp_path))
    again = Archive(db).load()
    db.close()
    assert again.tables.paths == after.tables.paths
    assert list(again.tables.fact_value) == list(after.tables.fact_value)


def test_many_builds_stay_within_twice_a_fresh_recording(tmp_path: Path) -> None:
    """Each with another environment and another source: what is kept of them is bounded by what is reached."""
    filled(tmp_path / "fresh", 1, turns=True)
    largest = 0
    for number in range(200):
        filled(tmp_path / "old", 1, first=number, turns=True)
        db = Database(str(tmp_path / "old"))
        grown = compact.grown(db, 0.0)
        db.close()
        if grown:
            compact.compact(str(tmp_path / "old"))
        largest = max(largest, (tmp_path / "old" / "data.mdb").stat().st_size)
    assert largest < 2 * (tmp_path / "fresh" / "data.mdb").stat().st_size


def test_growth_is_measured_from_the_first_complete_build(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    db = Database(str(tmp_path))
    assert not compact.grown(db, 0.0)
    archive = Archive(db)
    recording = archive.load()
    recording.env_sets.number(b"x" * (4 << 20))
    archive.save(recording)
    assert compact.grown(db, 0.0)
    db.close()
    compact.compact(str(tmp_path))
    db = Database(str(tmp_path))
    assert not compact.grown(db, 0.0)
    db.close()


def test_where_nearly_all_is_new_nothing_is_collected(tmp_path: Path) -> None:
    """A configuration, then everything: that the database is many times larger is no reason to write it anew."""
    filled(tmp_path, 2)
    db = Database(str(tmp_path))
    assert not compact.grown(db, 1.0)
    archive = Archive(db)
    recording = archive.load()
    recording.env_sets.number(b"x" * (4 << 20))
    archive.save(recording)
    assert not compact.grown(db, 0.97)
    assert not compact.grown(db, 0.0)  # measured from here on
    db.close()


def test_a_database_that_cannot_be_written_anew_stays(tmp_path: Path) -> None:
    """A full disk, or damage that only shows when everything is read."""
    filled(tmp_path, 3)
    kept = (tmp_path / "data.mdb").read_bytes()
    blocked = tmp_path.with_name(tmp_path.name + ".new")
    blocked.write_text("a file in the way")
    compact.compact(str(tmp_path))
    assert (tmp_path / "data.mdb").read_bytes() == kept
