"""From a complete build to its null check (nullcheck.py reads what is made here)."""

from posixpath import dirname

from hashmake.database import pack_manifest
from hashmake.disk import Disk
from hashmake.engine import Engine
from hashmake.recording import Goal
from hashmake.result import QUERY, UNSEEN, Result
from hashmake.tables import ABSENT, ACCESS, EXISTS, LIST, LSTAT, NAME, NEVER, NO_VALUE, READ, STAT, PathId

_LOOK = {EXISTS: b"E", ACCESS: b"A", STAT: b"T", LSTAT: b"O", READ: b"T"}


class _Manifest:
    """What must be so, while it is gathered."""

    def __init__(self) -> None:
        self.reads: dict[bytes, bytes] = {}
        self.looks: list[tuple[bytes, bytes]] = []
        self.lazy: dict[bytes, bytes] = {}
        self.absent: set[bytes] = set()
        self.lists: dict[bytes, bytes] = {}

    def fact(self, kind: int, path: bytes, value: bytes) -> None:
        """A fact about a path that the build did not make."""
        if kind == LIST:
            self.lists[path] = value
        elif path[:1] != b"/":
            self.looks.append((path, b"H" + value))
        elif kind == ABSENT:
            self.absent.add(path)
        elif kind == READ and value[:1] == b"F":
            self.reads[path] = value
        elif kind in (STAT, LSTAT) and value[:1] == b"F":
            self.lazy[path] = value
        else:
            self.looks.append((path, _LOOK[kind] + value))

    def product(self, path: bytes, version: bytes) -> None:
        """What the build left at path."""
        if not version:
            self.absent.add(path)
        elif version[:1] == b"F":
            self.reads[path] = version
        else:
            self.looks.append((path, b"O" + version))

    def pack(self, products: list[bytes], goals: list[bytes], disk: Disk) -> bytes:
        """The manifest; `products` are left out of the listings.

        Which of them a listing showed depends on when it was asked for, and on what other goals left: a directory that
        two goals make is there from the beginning for the second. None of it says anything about the inputs.
        """
        names: dict[bytes, list[bytes]] = {path: [] for path in self.lists}
        for path in products:
            parent = dirname(path)
            if parent in names:
                names[parent].append(path[len(parent.rstrip(b"/")) + 1 :])
        expected = [
            b"\0".join(name for name in listing[1:].split(b"\0") if name not in own)
            for listing, own in ((self.lists[path], set(names[path])) for path in self.lists)
        ]
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
                expected,
                [b"\0".join(names[path]) for path in self.lists],
                goals,
                [p for p, _ in lazy],
                [v for _, v in lazy],
                [disk.lasting_signature(p) for p, _ in lazy],
            )
        )


def null_manifest(root: Result, engine: Engine, goal: Goal, names: list[bytes]) -> bytes | None:
    """The manifest, packed; None when a build of this goal can never be null. `names`: the goals, for what is said."""
    if root.flags & (UNSEEN | QUERY) or not any(post for _pre, post in goal.complete.values()):
        return None
    tables = engine.tree.tables
    manifest = _Manifest()
    begun = {p for p, (pre, _post) in goal.complete.items() if pre != NO_VALUE} | engine.tree.initial
    outs = {pid for pid, _pre, _post in root.outputs()}
    own = (goal.products - begun) | outs
    for fid in root.facts:
        kind, pid = tables.fact_kind[fid], PathId(tables.fact_path[fid])
        if kind == NEVER:
            return None
        # What a product was before the build is the build's own affair; what it is after is added below.
        if kind == NAME and pid not in own:
            manifest.fact(READ, tables.paths[pid], engine.tree.seen(READ, pid))  # no change at all: no need to parse
        elif kind == LIST or pid not in own:
            manifest.fact(kind, tables.paths[pid], tables.values[tables.fact_value[fid]])
    for pid, _pre, post in root.outputs():
        manifest.product(tables.paths[pid], tables.values[post])
    return manifest.pack([tables.paths[pid] for pid in goal.products - begun], names, engine.disk)
