"""The tree as a clean build would have it at this moment: products as this build made them, sources as they are.

Knows versions and facts, not steps. Every product has a logical version (perhaps ABSENT: no step of this build has made
it yet) that may differ from what the disk holds: that is what lets a later version lie on the disk while make walks the
clean way (docs/design.md, "Versions ahead").
"""

from collections.abc import Callable, Container
from posixpath import dirname
from typing import Protocol

from hashmake.judge.world import Known, Versions
from hashmake.model import digest
from hashmake.model.kinds import ABSENT, ACCESS, EXISTS, LIST, LSTAT, NAME, NEVER, READ, as_seen
from hashmake.model.tables import NO_VALUE, FactId, PathId, Tables, ValueId


class TableLike(Protocol):
    """What the tree asks of a table of names (projector.py)."""

    def says(self, version: bytes, entry: bytes) -> bool: ...  # noqa: D102
    def entry(self, version: bytes, like: bytes) -> bytes: ...  # noqa: D102


# Told of each product: path, moment, and whether it is there and whether the disk holds this version.
Watcher = Callable[[bytes, int, bool, bool], None]

_RECORD_KINDS = (b"r", b"s", b"l", b"a", b"n", b"k")


class Tree:
    """See the module's text.

    seq          the moment: it grows with each product made, over all builds
    made_at      when this build last made a product, or judged it made; appeared_at: when it was not there before that
    initial      paths still in the version with which they began, which no step of this build made
    ahead        paths of which the disk holds a later version
    foreign      products of other goals, as their steps left them: path -> version
    record_facts what records of plain steps tell now; generation: how often one of these was taken back
    named        tables of which readers may depend on single entries (projector.py)
    assumed_new  paths of which no fact holds: whoever read them is asked to run (make -W)
    rewritten    paths that steps which ran in this build wrote
    uncovered    directories that this goal's steps make, there before that because something visible lies in them
    """

    def __init__(
        self, tables: Tables, disk: Versions, seq: int = 0, watcher: Watcher | None = None, known: Known | None = None
    ) -> None:
        self.tables = tables
        self.disk = disk
        self.seq = seq
        self.state: dict[PathId, ValueId] = {}
        self.made_at: dict[PathId, int] = {}
        self.appeared_at: dict[PathId, int] = {}
        self.initial: set[PathId] = set()
        self.ahead: set[PathId] = set()
        self.foreign: dict[PathId, ValueId] = {}
        self.assumed_new: set[PathId] = set()
        self.rewritten: set[PathId] = set()
        self.uncovered: set[PathId] = set()
        self.holds: set[FactId] = set()
        self.fails: set[FactId] = set()
        self.record_facts: dict[bytes, FactId] = {}
        self.generation = 0
        self.named: dict[PathId, TableLike] = {}
        self._listings: dict[PathId, bytes] = {}
        self._watcher = watcher
        self._known = known

    # -- products -------------------------------------------------------------------------------------------------

    def hide(self, pid: PathId) -> None:
        """A product of an earlier build: absent until a step of this build makes it."""
        self.state[pid] = NO_VALUE
        self._changed(pid, True)

    def begin_with(self, pid: PathId, version: ValueId) -> None:
        """A source that a step changes in place: it starts with this version, whatever the disk holds now."""
        self.state[pid] = version
        self.initial.add(pid)
        if self.on_disk(pid) != version:
            self.ahead.add(pid)
        self._changed(pid, True)

    def uncover(self, known: Container[PathId], strangers: bool) -> list[PathId]:
        """Show the hidden directories in which something visible lies, from the deepest up; which ones.

        Another goal's product, or a file of the user, can't lie in what is not there. `known`: paths of which it is
        known that no step of this goal made them; `strangers`: the others that are not hidden count as well.
        """
        paths = self.tables.paths
        directory = self.tables.value(digest.DIRECTORY)
        hidden = [pid for pid, version in self.state.items() if not version and self.on_disk(pid) == directory]
        shown = []
        for pid in sorted(hidden, key=lambda pid: len(paths[pid]), reverse=True):
            if self._holds_something(paths[pid], known, strangers):
                self.begin_with(pid, directory)
                shown.append(pid)
        self.uncovered.update(shown)
        return shown

    def cover(self, pid: PathId) -> None:
        """Hide again what `uncover` showed: the step that makes it from nothing is being asked for."""
        self.uncovered.discard(pid)
        self.initial.discard(pid)
        self.hide(pid)
        self.conceal(pid)

    def _holds_something(self, directory: bytes, known: Container[PathId], strangers: bool) -> bool:
        ids, state = self.tables.path_ids, self.state
        for name in self.disk.names(directory) or ():
            child = ids.get(directory + b"/" + name)
            if child is None or child not in state:
                if strangers or child in known:
                    return True
            elif state[child]:
                return True
        return False

    def put(self, pid: PathId, pre: ValueId, version: ValueId, wrote: bool) -> None:
        """A step left this version of pid behind, where it had found `pre`.

        `wrote`: it ran just now, else it was judged current.
        """
        tables = self.tables
        before = self.state.get(pid)
        self.seq += 1
        self.made_at[pid] = self.seq
        self.initial.discard(pid)
        if pre == NO_VALUE:
            self.appeared_at[pid] = self.seq
        self.state[pid] = version
        path = tables.paths[pid]
        if wrote:
            self.rewritten.add(pid)
        here = wrote or self.on_disk(pid) == version
        if here:
            self.ahead.discard(pid)
        else:
            self.ahead.add(pid)
        if before != version:
            self._changed(pid, not before or not version)
        if self._watcher is not None:
            self._watcher(path, self.seq, version != NO_VALUE, here)

    def unmake(self, pid: PathId) -> None:
        """What a step of this build made from nothing is not there for anybody until that step is asked for again."""
        self.made_at.pop(pid, None)
        self.appeared_at.pop(pid, None)
        self.hide(pid)
        self.conceal(pid)

    def brought_back(self, pid: PathId) -> None:
        """The disk holds the version that is due again, which was made before: its moment is the same."""
        path = self.tables.paths[pid]
        self.wrote(path)
        self.rewritten.add(pid)
        self.ahead.discard(pid)
        if self._watcher is not None:
            self._watcher(path, self.made_at.get(pid, 0), self.state.get(pid, NO_VALUE) != NO_VALUE, True)

    def conceal(self, pid: PathId) -> None:
        """The step that makes this version of pid runs again: until it has, no process sees the path."""
        self.ahead.discard(pid)
        if self._watcher is not None:
            self._watcher(self.tables.paths[pid], self.made_at.get(pid, 0), False, True)

    def on_disk(self, pid: PathId) -> ValueId:
        """The version that the disk holds now."""
        return self.tables.value(self.disk.own(self.tables.paths[pid]))

    def _changed(self, pid: PathId, existence: bool) -> None:
        tables = self.tables
        self._drop(tables.facts_on.get(pid))
        path = tables.paths[pid]
        facts = self.record_facts
        for kind in _RECORD_KINDS:
            if facts.pop(kind + path, None) is not None:
                self.generation += 1
                if self._known is not None:
                    self._known.forgot(kind + path)
        if existence:
            parent = tables.path_ids.get(dirname(path))
            if parent is not None and self._listings.pop(parent, None) is not None:
                self._drop(tables.facts_on.get(parent))

    def learn(self, record: bytes, fid: FactId) -> None:
        """What a record of a plain step tells, until its path changes."""
        self.record_facts[record] = fid
        if self._known is not None:
            self._known.learned(record, fid)

    def wrote(self, path: bytes) -> None:
        """Some process wrote path: what was known of the disk there is old."""
        self.disk.forget(path)
        pid = self.tables.path_ids.get(path)
        if pid is not None:
            self._changed(pid, True)
        else:
            parent = self.tables.path_ids.get(dirname(path))
            if parent is not None:
                self._listings.pop(parent, None)
                self._drop(self.tables.facts_on.get(parent))

    def _drop(self, facts: list[FactId] | None) -> None:
        if facts:
            self.holds.difference_update(facts)
            self.fails.difference_update(facts)

    # -- facts ----------------------------------------------------------------------------------------------------

    def check(self, fid: FactId) -> bool:
        """Whether the fact holds at this moment."""
        if fid in self.holds:
            return True
        if fid in self.fails:
            return False
        tables = self.tables
        pid = PathId(tables.fact_path[fid])
        kind = tables.fact_kind[fid]
        value = tables.values[tables.fact_value[fid]]
        if kind == NAME:
            good = self.names(pid, self.seen(READ, pid), value)
        else:
            good = kind != NEVER and pid not in self.assumed_new and self.seen(kind, pid) == value
        (self.holds if good else self.fails).add(fid)
        return good

    def seen(self, kind: int, pid: PathId) -> bytes:
        """What an access of this kind would see at this moment."""
        if kind == LIST:
            return self.listing(pid)
        version = self.state.get(pid)
        if version is not None:
            return as_seen(kind, self.tables.values[version])
        path = self.tables.paths[pid]
        disk = self.disk
        if kind == READ:
            return disk.content(path)
        if kind in (ABSENT, EXISTS):
            return b"E" if disk.exists(path) else digest.ABSENT
        if kind == LSTAT:
            return disk.own_looked(path)
        return digest.access(disk.head(path)) if kind == ACCESS else disk.looked(path)

    def names(self, pid: PathId, version: bytes, entry: bytes) -> bool:
        """Whether table pid in that version says this of a name; False also when it can't be read."""
        table = self.named.get(pid)
        return table is not None and table.says(version, entry)

    def listing(self, pid: PathId) -> bytes:
        """The names in directory pid, as a version; ABSENT when there is none."""
        found = self._listings.get(pid)
        if found is None:
            path = self.tables.paths[pid]
            names = self.disk.names(path)
            if names is None and pid in self.ahead:
                names = []  # a later step has moved it away; what is due in it is ahead, too
            if names is None or self.state.get(pid) == NO_VALUE:
                found = digest.ABSENT
            else:
                found = self.names_version(path, names)
            self._listings[pid] = found
        return found

    def found_listed(self, fid: FactId) -> None:
        """Somebody has seen that a listing is as this fact says, at this moment."""
        tables = self.tables
        self._listings[PathId(tables.fact_path[fid])] = tables.values[tables.fact_value[fid]]
        self.holds.add(fid)

    def names_version(self, directory: bytes, names: list[bytes]) -> bytes:
        """A listing's version: the names that are there at this moment, sorted."""
        ids, state = self.tables.path_ids, self.state
        prefix = directory if directory.endswith(b"/") else directory + b"/"
        kept = []
        for name in names:
            child = ids.get(prefix + name)
            if child is None or state.get(child) != NO_VALUE:
                kept.append(name)
        for child in self.ahead:
            path = self.tables.paths[child]
            if path.startswith(prefix) and state[child] != NO_VALUE and b"/" not in path[len(prefix) :]:
                kept.append(path[len(prefix) :])
        return b"N" + b"\0".join(sorted(set(kept)))

    def fact_now(self, kind: int, pid: PathId) -> FactId:
        """The fact of this kind about pid that holds at this moment (an ABSENT fact when nothing is there)."""
        value = self.seen(kind, pid)
        if not value:
            kind = ABSENT
        elif kind == ABSENT:
            kind = EXISTS
        fid = self.tables.fact(kind, pid, self.tables.value(value))
        self.holds.add(fid)
        self.fails.discard(fid)
        return fid
