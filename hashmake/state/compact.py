"""Compaction: the database is written anew with what builds can still reach, once it has grown well beyond that.

Kept are the results below the last complete build of each goal and those that made the products there are; and, of
what else the same steps once did (an edit is taken back one day), the newest, as much as fits into a share of the size
of the former. What lies in no goal any more goes: results, the facts, paths and environments that only they knew, and
null checks of environments that no build had lately.
"""

import os
import shutil
from array import array
from collections.abc import Iterable

from hashmake.errors import Damaged, StateUnusable
from hashmake.model.course import Course
from hashmake.model.envfacts import renumbered
from hashmake.model.goal import Goal
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, FAILED, Result, ResultId
from hashmake.model.tables import FactId, PathId, ValueId
from hashmake.state.archive import Archive
from hashmake.state.database import U64, Database

_GROWTH = 1.2  # times the size after the last time, ...
_SLACK = 1 << 14  # ... and this many bytes
_OLDER = 0.4  # size of the older results that are kept, measured by that of the reached ones
_BASE = b"C"
_ROOTS = 2  # environments and arguments of which a goal's null check is kept
_COMPOSITES = 2  # results kept of a step in which make ran: they are large, and evaluating costs little
_FACT = 40  # bytes of a new fact: its row, and most often a version of its own
_PACKED = 3  # environments are stored compressed


def grown(db: Database, new: float) -> bool:
    """Whether an open database has grown enough since it was first complete, or since the last compaction.

    new  the share of its results that are of this build: where nearly all are, there is nothing to collect
    """
    size = _size(db.directory)
    base = db.get(_BASE)
    if base is None or new > 1 / _GROWTH:
        db.put_all({_BASE: U64.pack(size)})
        return False
    before: int = U64.unpack(base)[0]
    return size > _GROWTH * before + _SLACK


def compact(directory: str) -> None:
    """Write a closed database anew and put it in the place of the old one, all at once. Where that fails, it stays."""
    aside = directory + ".new"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.mkdir(aside, 0o700)
        old = Database(directory, readonly=True)
        try:
            new = Database(aside)
            try:
                _copy(old, new)
            finally:
                new.close()
        finally:
            old.close()
        new = Database(aside)
        try:
            new.put_all({_BASE: U64.pack(_size(aside))})
            new.sync()
        finally:
            new.close()
        os.replace(os.path.join(aside, "data.mdb"), os.path.join(directory, "data.mdb"))
    except (OSError, Damaged, StateUnusable, IndexError, ValueError):
        pass  # a full disk, most likely (or damage, which the next build will find): it is tried again
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _size(directory: str) -> int:
    try:
        return os.stat(os.path.join(directory, "data.mdb")).st_size
    except OSError:
        return 0


def _copy(old: Database, new: Database) -> None:
    recording = Archive(old).load()
    copy = _Copy(recording)
    copy.take(_kept(recording))
    versions = copy.new.tables.value_ids
    for key, data in old.scan(b"T"):
        if key[1:] in versions:
            copy.new.new_findings.append((key, data))
    extra: dict[bytes, bytes] = {}
    for letter in (b"L", b"A", b"D", b"H"):
        extra.update({letter + key: data for key, data in old.scan(letter)})
    archive = Archive(new)
    extra.update(archive.moments(copy.new))
    extra[b"O"] = b""
    archive.save(copy.new, extra, listed=False)


def _kept(recording: Recording) -> set[ResultId]:
    """Numbers of the results that are kept."""
    kept = _Kept(recording)
    todo = [rid for goal in recording.goals.values() for _digest, rid in goal.roots[-1:]]
    todo += [rid for pid, (v, _at) in recording.products.items() if (rid := recording.makers.get((pid, v))) is not None]
    kept.take(todo, None)
    budget = kept.size * (1 + _OLDER)
    for rid in kept.older():
        kept.take([rid], budget)
    return kept.ids


class _Kept:
    """Results to be kept, with all below them, and about how many bytes they and what only they know take."""

    def __init__(self, recording: Recording) -> None:
        self.ids: set[ResultId] = set()
        self.size = 0
        self._recording = recording
        self._facts: set[int] = set()
        self._blocks: set[int] = set()

    def take(self, todo: list[ResultId], budget: float | None) -> None:
        """Add these and all below them; nothing, where that goes beyond the budget."""
        ids: set[ResultId] = set()
        facts: set[int] = set()
        blocks: set[int] = set()
        size = self.size
        while todo:
            rid = todo.pop()
            result = self._recording.result(rid) if rid not in self.ids and rid not in ids else None
            if result is None:
                continue
            ids.add(rid)
            todo += map(ResultId, result.kids)
            news = set(result.facts) - self._facts - facts
            facts |= news
            size += len(result.pack()) + _FACT * len(news)
            if result.full_env not in self._blocks and result.full_env not in blocks:
                blocks.add(result.full_env)
                size += len(self._recording.env_blocks.all[result.full_env]) // _PACKED
            if budget is not None and size > budget:
                return
        self.ids |= ids
        self._facts |= facts
        self._blocks |= blocks
        self.size = size

    def older(self) -> list[ResultId]:
        """Other results of the same steps, the newest first."""
        found: set[tuple[int, ResultId]] = set()
        for rid in self.ids:
            result = self._recording.result(rid)
            if result is not None:
                others = self._recording.ids_for(result.key)
                others = others[-_COMPOSITES:] if result.flags & COMPOSITE else others
                found.update((old.build, old.id) for old in map(self._recording.result, others) if old is not None)
        return [rid for _build, rid in sorted(found, reverse=True) if rid not in self.ids]


class _Copy:
    """A second recording with other numbers for paths, versions, facts and environments, the same for results."""

    def __init__(self, old: Recording) -> None:
        self._old = old
        self.new = Recording()
        self._facts: dict[int, FactId] = {}
        self._environments: dict[int, int] = {}

    def take(self, kept: set[ResultId]) -> None:
        """All of the old recording, but of its results only these."""
        old, new = self._old, self.new
        new.seq, new.build, new.next_result = old.seq, old.build, old.next_result
        results = [result for rid in sorted(kept) if (result := old.result(rid)) is not None]
        self._take_facts(results)
        for result in results:
            self._result(result)
        for key in {result.key for result in new.new_results}:
            new.ids_for(key).extend(rid for rid in old.ids_for(key) if rid in kept)
            new.changed_keys.add(key)
        for goal in old.goals.values():
            self._goal(goal, kept)
        for table, other in ((old.products, new.products), (old.sources, new.sources)):
            other.update({self._path(pid): (self._value(v), moment) for pid, (v, moment) in table.items()})
        new.writers.update({self._path(pid): key for pid, key in old.writers.items()})
        new.seeds.update(old.seeds)
        for (pid, pre), made in old.links.items():
            for post, rid in made.items():
                if not rid and old.tables.paths[pid] in new.tables.path_ids:
                    row = (self._path(pid), self._value(pre), self._value(post))
                    new.add_link(*row, ResultId(0))
                    new.new_links.extend((*row, 0))

    def _path(self, pid: int) -> PathId:
        return self.new.tables.path(self._old.tables.paths[pid])

    def _value(self, vid: int) -> ValueId:
        return self.new.tables.value(self._old.tables.values[vid])

    def _take_facts(self, results: list[Result]) -> None:
        """All facts that are needed, in their old order: what was sorted by their numbers stays so."""
        used: set[int] = set()
        for result in results:
            used.update(result.facts)
            course = self._old.course(result.id) if result.flags & COMPOSITE else None
            if course is not None:
                used.update(course.facts, course.looks, course.decides)
        tables = self._old.tables
        kinds, paths, values = tables.fact_kind, tables.fact_path, tables.fact_value
        for fid in sorted(used):
            path, value = self._path(paths[fid]), self._value(values[fid])
            self._facts[fid] = self.new.tables.fact(kinds[fid], path, value)

    def _renumbered(self, facts: "array[int]") -> "array[int]":
        return array("I", map(self._facts.__getitem__, facts))

    def _environment(self, number: int) -> int:
        found = self._environments.get(number)
        if found is None:
            text = self._old.env_sets.all[number]
            text = renumbered(text, self._environment)
            found = self._environments[number] = self.new.env_sets.number(text)
        return found

    def _result(self, old: Result) -> None:
        new = Result(old.key, old.kind, self._path(old.cwd), old.argv)
        new.id, new.flags, new.code, new.steps = old.id, old.flags, old.code, old.steps
        new.wall_us, new.build, new.why = old.wall_us, old.build, old.why
        new.stdout, new.stderr, new.kept = old.stdout, old.stderr, old.kept
        new.env = self._environment(old.env)
        new.full_env = self._block(old.full_env)
        new.facts = self._renumbered(old.facts)
        for pid, pre, post in old.outputs():
            new.outs.extend((self._path(pid), self._value(pre), self._value(post)))
        new.kids, new.modes = old.kids, old.modes
        new.temps = array("I", map(self._path, old.temps))
        self.new.new_results.append(new)
        course = self._old.course(old.id) if old.flags & COMPOSITE else None
        if course is not None:
            self.new.learn_course(old.id, self._course(course))
        if not new.flags & (COMPOSITE | FAILED):
            for row in new.outputs():
                self.new.add_link(*row, new.id)
                self.new.new_links.extend((*row, new.id))

    def _course(self, old: Course) -> Course:
        new = Course(self._block(old.block))
        new.facts, new.looks, new.decides = map(self._renumbered, (old.facts, old.looks, old.decides))
        new.reread.extend(map(self._path, old.reread))
        new.names, new.words, new.goal, new.serial = old.names, old.words, old.goal, old.serial
        new.calls = [call._replace(block=self._block(call.block)) for call in old.calls]
        return new

    def _block(self, number: int) -> int:
        return self.new.env_blocks.number(self._old.env_blocks.all[number])

    def _goal(self, old: Goal, kept: Iterable[ResultId]) -> None:
        goal = self.new.goal(old.key)
        goal.roots = [(digest, rid) for digest, rid in old.roots[-_ROOTS:] if rid in kept]
        goal.products = {self._path(pid) for pid in old.products}
        goal.complete = {self._path(p): (self._value(a), self._value(b)) for p, (a, b) in old.complete.items()}
        goal.began = {self._path(p): (self._value(v), moment) for p, (v, moment) in old.began.items()}
        goal.changed = True
        self.new.new_products.extend((old.key, pid) for pid in goal.products)
