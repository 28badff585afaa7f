"""From a complete build to its null check (check.py reads what is made here)."""

from posixpath import dirname

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.world import DiskLike
from hashmake.model.goal import Goal
from hashmake.model.kinds import ABSENT, ACCESS, EXISTS, LIST, LSTAT, NAME, NEVER, READ, STAT
from hashmake.model.result import QUERY, UNSEEN, Result
from hashmake.model.tables import NO_VALUE, PathId
from hashmake.null.manifest import pack_manifest

_LOOK = {EXISTS: b"E", ACCESS: b"A", STAT: b"T", LSTAT: b"O", READ: b"T"}


class _Manifest:
    """What must be so, while it is gathered.

    products        paths that are left out of the listings. Which of them a listing showed depends on when it was asked
                    for, and on what other goals left: a directory that two goals make is there from the beginning for
                    the second. None of it says anything about the inputs
    contradicted    the build saw two values of one fact: something changed while it ran, and the step that saw the
                    earlier value is stale
    """

    def __init__(self, products: list[bytes]) -> None:
        self.reads: dict[bytes, bytes] = {}
        self.looks: set[tuple[bytes, bytes]] = set()
        self.lazy: dict[bytes, bytes] = {}
        self.absent: set[bytes] = set()
        self.lists: dict[bytes, bytes] = {}
        self.contradicted = False
        self._products: dict[bytes, set[bytes]] = {}
        for path in products:
            parent = dirname(path)
            self._products.setdefault(parent, set()).add(path[len(parent.rstrip(b"/")) + 1 :])

    def fact(self, kind: int, path: bytes, value: bytes) -> None:
        """A fact about a path that the build did not make."""
        if kind == LIST:
            own = self._products.get(path, ())
            self._once(self.lists, path, b"\0".join(n for n in value[1:].split(b"\0") if n not in own))
        elif path[:1] != b"/":
            self.looks.add((path, b"H" + value))
        elif kind == ABSENT:
            self.absent.add(path)
        elif kind == READ and value[:1] == b"F":
            self._once(self.reads, path, value)
        elif kind in (STAT, LSTAT) and value[:1] == b"F":
            self._once(self.lazy, path, value)
        else:
            self.looks.add((path, _LOOK[kind] + value))

    def _once(self, seen: dict[bytes, bytes], path: bytes, value: bytes) -> None:
        self.contradicted |= seen.setdefault(path, value) != value

    def product(self, path: bytes, version: bytes) -> None:
        """What the build left at path."""
        if not version:
            self.absent.add(path)
        elif version[:1] == b"F":
            self.reads[path] = version
        else:
            self.looks.add((path, b"O" + version))

    def pack(self, goals: list[bytes], disk: DiskLike) -> bytes | None:
        """The manifest; None where no tree can be as it says."""
        both = (p for p, v in self.lazy.items() if self.reads.get(p, v) != v)
        if self.contradicted or any(both) or any(p in self.reads or p in self.lazy for p in self.absent):
            return None
        # What a READ says covers the weaker looks at the same path.
        looks = sorted((p, v) for p, v in self.looks if not (p in self.reads and v[:1] in b"EAT"))
        lazy = sorted((p, v) for p, v in self.lazy.items() if p not in self.reads)
        return pack_manifest(
            (
                list(self.reads),
                list(self.reads.values()),
                [p for p, _ in looks],
                [v for _, v in looks],
                sorted(self.absent),
                list(self.lists),
                list(self.lists.values()),
                [b"\0".join(sorted(self._products.get(path, ()))) for path in self.lists],
                goals,
                [p for p, _ in lazy],
                [v for _, v in lazy],
                [disk.lasting_signature(p) for p, _ in lazy],
            )
        )


def null_manifest(root: Result, evaluation: Evaluation, goal: Goal, names: list[bytes]) -> bytes | None:
    """The manifest, packed; None when a build of this goal can never be null. `names`: the goals, for what is said."""
    if root.flags & (UNSEEN | QUERY) or not any(post for _pre, post in goal.complete.values()):
        return None
    tables = evaluation.tree.tables
    begun = {p for p, (pre, _post) in goal.complete.items() if pre != NO_VALUE} | evaluation.tree.initial
    manifest = _Manifest([tables.paths[pid] for pid in goal.products - begun])
    outs = {pid for pid, _pre, _post in root.outputs()}
    own = (goal.products - begun) | outs
    for fid in root.facts:
        kind, pid = tables.fact_kind[fid], PathId(tables.fact_path[fid])
        if kind == NEVER:
            return None
        # What a product was before the build is the build's own affair; what it is after is added below.
        if kind == NAME and pid not in own:
            manifest.fact(
                READ, tables.paths[pid], evaluation.tree.seen(READ, pid)
            )  # no change at all: no need to parse
        elif kind == LIST or pid not in own:
            manifest.fact(kind, tables.paths[pid], tables.values[tables.fact_value[fid]])
    for pid, _pre, post in root.outputs():
        manifest.product(tables.paths[pid], tables.values[post])
    return manifest.pack(names, evaluation.disk)
