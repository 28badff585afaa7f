"""judge: is a remembered step current, or stale, and why. Decides, changes nothing."""

from collections.abc import Callable, Iterator

from hashmake.judge.reason import Reason
from hashmake.judge.tree import Tree
from hashmake.model.kinds import ABSENT, LIST, NAME, NEVER, READ
from hashmake.model.result import COMPOSITE, FAILED, UNSEEN, Result
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId

# From a version on the disk back to the one asked for: is it one that later steps made of it?
Reaches = Callable[[PathId, ValueId, ValueId], bool]


def judge_inputs(result: Result, tree: Tree) -> Reason | None:
    """None when everything the step read is, at this moment, as it was."""
    if tree.holds.issuperset(result.facts):
        return None
    return next(input_differences(result, tree), None)


def input_differences(result: Result, tree: Tree) -> Iterator[Reason]:
    """Everything that the step read and that is not as it was: one reason for each path."""
    made = _makes_anew(result, tree)
    kinds, paths = tree.tables.fact_kind, tree.tables.fact_path
    told: set[int] = set()
    for fid in sorted(set(result.facts) - tree.holds):  # most are known to hold, and there are hundreds
        if tree.check(FactId(fid)) or paths[fid] in told or (kinds[fid] == ABSENT and paths[fid] in made):
            continue
        told.add(paths[fid])
        yield explain(_strongest(fid, result, tree), tree)


def _makes_anew(result: Result, tree: Tree) -> set[int]:
    """Directories that a step below makes from nothing, and that are there because something visible lies in them.

    They are hidden again as soon as that step is asked for (Engine._take_over): it will find what it had found.
    """
    if not tree.uncovered or not result.flags & COMPOSITE:
        return set()
    return {pid for pid, pre, _post in result.outputs() if pre == NO_VALUE and pid in tree.uncovered}


def _strongest(fid: int, result: Result, tree: Tree) -> int:
    """Of the facts about the same path that do not hold, the one that tells most: its content, if that was read."""
    tables = tree.tables
    pid = tables.fact_path[fid]
    reads = (f for f in result.facts if tables.fact_path[f] == pid and tables.fact_kind[f] == READ)
    return next((f for f in reads if not tree.check(FactId(f))), fid)


def judge_outputs(result: Result, tree: Tree, reaches: Reaches) -> Reason | None:
    """None when everything the step left behind is still there, or has been taken further by known later steps."""
    return next(output_differences(result, tree, reaches), None)


def output_differences(result: Result, tree: Tree, reaches: Reaches) -> Iterator[Reason]:
    """Everything that the step left behind and that is not there any more.

    What it did to a file whose content it left alone (chmod) is gone where that was made anew.
    """
    outs = result.outs
    paths, values = tree.tables.paths, tree.tables.values
    for at in range(0, len(outs), 3):
        pid, post = PathId(outs[at]), ValueId(outs[at + 2])
        if post == outs[at + 1] and pid in tree.rewritten:
            yield Reason("MadeAnew", paths[pid])
            continue
        here = tree.on_disk(pid)
        if here != post and not reaches(pid, post, here):
            yield Reason("OutputTouched" if here else "OutputMissing", paths[pid], values[post], values[here])


def judge_kind(result: Result) -> Reason | None:
    """None unless this result can never be current."""
    if result.flags & FAILED:
        return Reason("FailedLastTime", str(result.code).encode())
    if result.flags & UNSEEN:
        return Reason("TraceIncomplete", result.why)
    return None


def explain(fid: int, tree: Tree) -> Reason:
    """The reason that a fact which does not hold gives."""
    tables = tree.tables
    kind = tables.fact_kind[fid]
    pid = PathId(tables.fact_path[fid])
    path = tables.paths[pid]
    old = tables.values[tables.fact_value[fid]]
    if kind == NEVER:
        return Reason("ChangedWhileRead", path)
    if kind == NAME:
        table = tree.named.get(pid)
        version = tree.seen(READ, pid)
        if not version:
            return Reason("Vanished", path)
        new = table.entry(version, old) if table is not None else b""
        return Reason("NameChanged", path, old, new)
    new = tree.seen(kind, pid)
    if kind == ABSENT:
        return Reason("Appeared", path, old, new)
    if not new:
        return Reason("Vanished", path, old, new)
    if kind == LIST:
        return Reason("ListingChanged", path, *listing_difference(old, new))
    return Reason("ReadChanged", path, old, new)


def listing_difference(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """The names that are gone and the names that are new, each joined by NUL."""
    before = set(old[1:].split(b"\0")) if old else set()
    after = set(new[1:].split(b"\0")) if new else set()
    return b"\0".join(sorted(before - after)), b"\0".join(sorted(after - before))
