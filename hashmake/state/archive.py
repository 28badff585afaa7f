"""The archive: the recording in the database, saved step by step. schema.py says what the tables are."""

import os
import struct
import zlib
from array import array
from collections.abc import Iterator

from hashmake.errors import Damaged
from hashmake.model.course import Course
from hashmake.model.goal import Goal
from hashmake.model.names import unpack
from hashmake.model.packing import U32, pack_list, unpack_list
from hashmake.model.recording import Recording, Seed
from hashmake.model.result import Result, ResultId
from hashmake.model.tables import PathId, ValueId
from hashmake.state import roll
from hashmake.state.database import BE, STATE, Database


class Archive:
    """Loads and saves the recording of one database."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._chunk = 0

    def load(self) -> Recording:
        """The whole recording but for results, which are read when they are asked for. Raises Damaged."""
        recording = Recording()
        try:
            self._load(recording)
        except (struct.error, IndexError, ValueError, zlib.error) as error:
            raise Damaged(f"unreadable record: {error}") from error
        recording.load_result = self._load_result
        recording.load_course = self._load_course
        recording.load_key = self._load_key
        recording.load_finding = self._load_finding
        recording.load_findings = self._load_findings
        return recording

    def _load(self, recording: Recording) -> None:
        state = self._db.get(b"M")
        if state is not None:
            recording.seq, recording.build, recording.next_result, self._chunk = STATE.unpack(state)
        self._load_tables(recording)
        for text in self._lists(b"e"):
            recording.env_sets.number(text)
        for _, data in self._db.scan(b"b"):
            for text in unpack_list(zlib.decompress(data))[0]:
                recording.env_blocks.number(text)
        for texts in (recording.env_sets, recording.env_blocks):
            texts.saved = len(texts.all)
        for _, data in self._db.scan(b"l"):
            links = array("I")
            links.frombytes(data)
            for pid, pre, post, rid in zip(links[0::4], links[1::4], links[2::4], links[3::4], strict=True):
                recording.add_link(PathId(pid), ValueId(pre), ValueId(post), ResultId(rid))
        for letter, table in ((b"P", recording.products), (b"S", recording.sources)):
            table.update(_unpack_moments(self._db.get(letter) or b""))
        self._load_goals(recording)
        for path, data in self._db.scan(b"K"):
            first, last, changed_from, changed_in = unpack_list(data)[0]
            recording.seeds[path] = Seed(first, last, changed_from, *U32.unpack(changed_in))

    def _load_tables(self, recording: Recording) -> None:
        tables = recording.tables
        for path in self._lists(b"p"):
            tables.path(path)
        tables.saved_paths = len(tables.paths)
        for value in self._lists(b"v"):
            tables.value(value)
        tables.saved_values = len(tables.values)
        for _, data in self._db.scan(b"f"):
            (n,) = U32.unpack_from(data)
            tables.restore_facts(data[4 : 4 + n], data[4 + n : 4 + 5 * n], data[4 + 5 * n :])

    def _lists(self, letter: bytes) -> list[bytes]:
        return [item for _, data in self._db.scan(letter) for item in unpack_list(data)[0]]

    def _load_goals(self, recording: Recording) -> None:
        for key, data in self._db.scan(b"g"):
            goal = recording.goal(key)
            count = U32.unpack_from(data)[0]
            for at in range(4, 4 + 20 * count, 20):
                goal.roots.append((data[at : at + 16], ResultId(U32.unpack_from(data, at + 16)[0])))
            at = 4 + 20 * count
            (length,) = U32.unpack_from(data, at)
            rest = array("I")
            rest.frombytes(data[at + 4 : at + 4 + 4 * length])
            for pid, pre, post in zip(rest[0::3], rest[1::3], rest[2::3], strict=True):
                goal.complete[PathId(pid)] = (ValueId(pre), ValueId(post))
            began = array("Q")
            began.frombytes(data[at + 4 + 4 * length :])
            for pid, version, moment in zip(began[0::3], began[1::3], began[2::3], strict=True):
                goal.began[PathId(pid)] = (ValueId(version), moment)
        for key, data in self._db.scan(b"x"):
            paths = array("I")
            paths.frombytes(data)
            recording.goal(key[:16]).products.update(map(PathId, paths))
        for goal in recording.goals.values():
            goal.changed = False
        writers = self._db.get(b"W")
        if writers:
            keys, used = unpack_list(writers)
            columns = array("I")
            columns.frombytes(writers[used:])
            half = len(columns) // 2
            for pid, at in zip(columns[:half], columns[half:], strict=True):
                recording.writers[PathId(pid)] = keys[at]

    def _load_result(self, rid: ResultId) -> Result | None:
        data = self._db.get(b"r" + BE.pack(rid))
        try:
            return None if data is None else Result.unpack(rid, data)
        except (struct.error, ValueError) as error:
            raise Damaged(f"unreadable result: {error}") from error

    def _load_course(self, rid: ResultId) -> Course | None:
        data = self._db.get(b"y" + BE.pack(rid))
        try:
            return Course.unpack(data) if data else None
        except (struct.error, ValueError) as error:
            raise Damaged(f"unreadable course: {error}") from error

    def _load_key(self, key: bytes) -> list[ResultId]:
        data = self._db.get(b"k" + key)
        ids = array("I")
        if data is not None:
            ids.frombytes(data)
        return [ResultId(i) for i in ids]

    def _load_finding(self, key: bytes) -> frozenset[bytes] | None:
        data = self._db.get(b"T" + key)
        return None if data is None else unpack(data)

    def _load_findings(self, letter: bytes) -> Iterator[tuple[bytes, frozenset[bytes]]]:
        for key, data in self._db.scan(b"T" + letter):
            yield letter + key, unpack(data)

    def save(self, recording: Recording, extra: dict[bytes, bytes] | None = None, listed: bool = True) -> None:
        """Save what is new, in one transaction. Raises StateUnusable; then nothing of it is saved.

        listed  new products are also written to the list beside the database (roll.py)
        """
        chunk = BE.pack(self._chunk)
        state = STATE.pack(recording.seq, recording.build, recording.next_result, self._chunk + 1)
        items = {b"M": state, **_new_in_tables(recording, chunk), **_new_results(recording, chunk)}
        by_goal: dict[bytes, array[int]] = {}
        for goal_key, pid in recording.new_products:
            by_goal.setdefault(goal_key, array("I")).append(pid)
        for goal_key, paths in by_goal.items():
            items[b"x" + goal_key + chunk] = paths.tobytes()
        for goal in recording.goals.values():
            if goal.changed:
                items[b"g" + goal.key] = _pack_goal(goal)
        items.update(extra or {})
        paths_of = recording.tables.paths
        if listed:
            roll.append(os.path.dirname(self._db.directory), [(g, paths_of[p]) for g, p in recording.new_products])
        gone = [letter + BE.pack(rid) for rid in recording.gone for letter in (b"r", b"y")]
        self._db.put_all(items, gone)
        self._chunk += 1
        recording.saved()

    def moments(self, recording: Recording) -> dict[bytes, bytes]:
        """Products and sources as records, for save(extra=...)."""
        keys = {key: at for at, key in enumerate(recording.goals)}
        columns = array("I", recording.writers.keys())
        columns.extend(keys[key] for key in recording.writers.values())
        return {
            b"P": _pack_moments(recording.products),
            b"S": _pack_moments(recording.sources),
            b"W": pack_list(list(keys)) + columns.tobytes(),
            **{
                b"K" + path: pack_list([*seed[:3], U32.pack(seed.changed_in)]) for path, seed in recording.seeds.items()
            },
        }


def _new_in_tables(recording: Recording, chunk: bytes) -> dict[bytes, bytes]:
    tables = recording.tables
    items: dict[bytes, bytes] = {}
    if tables.saved_paths < len(tables.paths):
        items[b"p" + chunk] = pack_list(tables.paths[tables.saved_paths :])
    if tables.saved_values < len(tables.values):
        items[b"v" + chunk] = pack_list(tables.values[tables.saved_values :])
    if tables.saved_facts < len(tables.fact_kind):
        first = tables.saved_facts
        kinds = bytes(tables.fact_kind[first:])
        columns = tables.fact_path[first:].tobytes() + tables.fact_value[first:].tobytes()
        items[b"f" + chunk] = U32.pack(len(kinds)) + kinds + columns
    sets, blocks = recording.env_sets, recording.env_blocks
    if sets.saved < len(sets.all):
        items[b"e" + chunk] = pack_list(sets.all[sets.saved :])
    if blocks.saved < len(blocks.all):
        items[b"b" + chunk] = zlib.compress(pack_list(blocks.all[blocks.saved :]), 1)  # much the same in all of them
    return items


def _new_results(recording: Recording, chunk: bytes) -> dict[bytes, bytes]:
    items = {b"r" + BE.pack(result.id): result.pack() for result in recording.new_results}
    for key in recording.changed_keys:
        items[b"k" + key] = array("I", recording.ids_for(key)).tobytes()
    for rid, course in recording.new_courses.items():
        items[b"y" + BE.pack(rid)] = course.pack() if course is not None else b""
    for key, data in recording.new_findings:
        items[b"T" + key] = data
    if recording.new_links:
        items[b"l" + chunk] = recording.new_links.tobytes()
    return items


def _pack_goal(goal: Goal) -> bytes:
    parts = [U32.pack(len(goal.roots))]
    parts += [digest + U32.pack(rid) for digest, rid in goal.roots]
    flat = array("I")
    for pid, (pre, post) in goal.complete.items():
        flat.extend((pid, pre, post))
    began = array("Q")
    for pid, (version, moment) in goal.began.items():
        began.extend((pid, version, moment))
    return b"".join(parts) + U32.pack(len(flat)) + flat.tobytes() + began.tobytes()


def _pack_moments(table: dict[PathId, tuple[ValueId, int]]) -> bytes:
    paths = array("I", table.keys())
    versions = array("I", (v for v, _ in table.values()))
    moments = array("Q", (m for _, m in table.values()))
    return U32.pack(len(paths)) + paths.tobytes() + versions.tobytes() + moments.tobytes()


def _unpack_moments(data: bytes) -> dict[PathId, tuple[ValueId, int]]:
    if not data:
        return {}
    (n,) = U32.unpack_from(data)
    paths, versions, moments = array("I"), array("I"), array("Q")
    paths.frombytes(data[4 : 4 + 4 * n])
    versions.frombytes(data[4 + 4 * n : 4 + 8 * n])
    moments.frombytes(data[4 + 8 * n : 4 + 16 * n])
    return {PathId(p): (ValueId(v), m) for p, v, m in zip(paths, versions, moments, strict=True)}
