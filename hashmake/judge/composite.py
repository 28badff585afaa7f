"""What a composite step (a make process with steps below it) depends on and leaves behind, as one.

Walks its events in order. An access to a path that the composite itself had already made is internal; everything else
is a fact about the tree as it was when the composite started. So a composite is judged like a plain step, without
looking below.
"""

from array import array

from hashmake.judge.account import Account
from hashmake.judge.running import Below, Event
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model import digest
from hashmake.model.kinds import ABSENT, EXISTS, LIST, NAME, NEVER, READ, as_seen
from hashmake.model.result import COMPOSITE, FAILED, SHELL, UNSEEN, Result
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId


def aggregate(result: Result, events: list[Event], account: Account, tree: Tree, disk: DiskLike) -> list[FactId]:
    """Fill in facts, outs, kids, steps and flags of a composite's result; what its makes themselves looked at."""
    entry: set[FactId] = set()
    below = _Below(entry, tree)
    steps = 0
    result.flags |= COMPOSITE
    for event in events:
        if isinstance(event, Below):
            kid = event.result
            below.reads(kid)
            result.kids.append(kid.id)
            steps += kid.steps
            if kid.flags & UNSEEN or (kid.flags & FAILED and kid.kind != SHELL):
                result.flags |= UNSEEN
                result.why = result.why or kid.why or b"a step below it failed"
            for write in event.writes:
                below.writes(*write)
        else:
            below.writes(*event)
    written = below.written
    _own_facts(account, entry, written, tree)
    looks = _looks(account, entry, written, tree, disk)
    result.facts = array("I", sorted(entry))
    for pid, (pre, post) in written.items():
        if pre != NO_VALUE or post != NO_VALUE:
            result.outs.extend((pid, pre, post))
    result.steps = steps + bool(account.outs)  # itself a step if it wrote files: a script that calls make
    return looks


class _Below:
    """What steps below read and wrote, in turn.

    entry    facts about the tree as the first of them found it: filled here
    written  path -> (version before the first write, after the last), in the order of the last
    """

    def __init__(self, entry: set[FactId], tree: Tree) -> None:
        self.entry = entry
        self.written: dict[PathId, tuple[ValueId, ValueId]] = {}
        self._tree = tree
        self._seen: set[int] = set()
        self._inside: set[int] = set()  # facts about what was written; all of them with numbers below _known
        self._known = len(tree.tables.fact_kind)
        self._directories: set[bytes] = set()  # in which something was written

    def writes(self, pid: PathId, pre: ValueId, post: ValueId) -> None:
        """A write, by one of them or in between."""
        before = self.written.pop(pid, None)
        if before is None:
            self._inside.update(self._tree.tables.facts_on.get(pid, ()))
            self._directories.add(self._tree.tables.paths[pid].rpartition(b"/")[0])
        self.written[pid] = (before[0] if before is not None else pre, post)

    def reads(self, kid: Result) -> None:
        """What this one read, or need not read now."""
        new = set(kid.facts)
        new -= self._seen
        self._seen |= new
        if not self.written:
            self.entry.update(map(FactId, new))
            return
        tables = self._tree.tables
        listings = new & tables.listings()
        new -= listings
        new -= self._inside
        if new and max(new) >= self._known:
            new = {f for f in new if f < self._known or tables.fact_path[f] not in self.written}
        self.entry.update(map(FactId, new))
        for fid in listings:
            if not _made_by_itself(tables.fact_path[fid], self.written):
                changed = tables.paths[tables.fact_path[fid]].rstrip(b"/") in self._directories
                self.entry.add(_listing_at_entry(FactId(fid), self.written, self._tree) if changed else FactId(fid))


def _made_by_itself(directory: int, written: dict[PathId, tuple[ValueId, ValueId]]) -> bool:
    """Whether the composite made this directory: what lay in it is its own work, and it may be gone again."""
    there = written.get(PathId(directory))
    return there is not None and there[0] == NO_VALUE


def _listing_at_entry(fid: FactId, written: dict[PathId, tuple[ValueId, ValueId]], tree: Tree) -> FactId:
    """The listing without the names that the composite itself had made by then."""
    tables = tree.tables
    pid = PathId(tables.fact_path[fid])
    version = tables.values[tables.fact_value[fid]]
    prefix = tables.paths[pid].rstrip(b"/") + b"/"
    ids = tables.path_ids
    kept = []
    for name in version[1:].split(b"\0"):
        child = ids.get(prefix + name)
        if child is None or child not in written or written[child][0] != NO_VALUE:
            kept.append(name)
    return tables.fact(LIST, pid, tables.value(b"N" + b"\0".join(kept)))


def _own_facts(
    account: Account, entry: set[FactId], written: dict[PathId, tuple[ValueId, ValueId]], tree: Tree
) -> None:
    tables = tree.tables
    for fid in account.facts:
        there = written.get(PathId(tables.fact_path[fid]))
        kind = tables.fact_kind[fid]
        if kind == LIST and _made_by_itself(tables.fact_path[fid], written):
            continue
        if kind == LIST:
            entry.add(_listing_at_entry(fid, written, tree))
        elif there is None or kind == NEVER or _held_before(fid, there[0], tree):
            entry.add(fid)


def _held_before(fid: FactId, version: ValueId, tree: Tree) -> bool:
    """Whether the fact is about the version that was there when the composite started."""
    tables = tree.tables
    if tables.fact_kind[fid] == NAME:
        return tree.names(PathId(tables.fact_path[fid]), tables.values[version], tables.values[tables.fact_value[fid]])
    return as_seen(tables.fact_kind[fid], tables.values[version]) == tables.values[tables.fact_value[fid]]


def _looks(
    account: Account,
    entry: set[FactId],
    written: dict[PathId, tuple[ValueId, ValueId]],
    tree: Tree,
    disk: DiskLike,
) -> list[FactId]:
    """What make looked at: existence; with its content where no step below reads it (design.md, rule 19).

    Comes back: the existence of all of it. Where that is known, contents that decided are, too (Course.decides).
    """
    tables = tree.tables
    fact_path, fact_kind = tables.fact_path, tables.fact_kind
    read = {fact_path[f] for f in entry if fact_kind[f] in (READ, NAME)}
    looks = []
    for pid in account.looks:
        there = written.get(pid)
        if there is not None:
            kind = EXISTS if there[0] != NO_VALUE else ABSENT
            looks.append(tables.fact(kind, pid, tables.value(as_seen(EXISTS, tables.values[there[0]]))))
            entry.add(looks[-1])
            continue
        looks.append(tree.fact_now(EXISTS, pid))
        if pid not in read:
            entry.add(_looked_at(pid, account, tree, disk))
    return looks


def _looked_at(pid: PathId, account: Account, tree: Tree, disk: DiskLike) -> FactId:
    tables = tree.tables
    path = tables.paths[pid]
    if pid not in tree.state:
        if disk.head(path)[:1] != b"F":
            return tree.fact_now(EXISTS, pid)
        if disk.content(path) == digest.ABSENT or disk.changed_since(path, account.started_ns):
            return tables.fact(NEVER, pid, NO_VALUE)
    return tree.fact_now(READ if tree.seen(READ, pid)[:1] == b"F" else EXISTS, pid)
