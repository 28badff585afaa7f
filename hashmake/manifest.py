"""From a complete build to its null check (nullcheck.py reads what is made here)."""

from posixpath import dirname

from hashmake.database import pack_manifest
from hashmake.engine import Engine
from hashmake.recording import Goal
from hashmake.result import UNSEEN, Result
from hashmake.tables import ABSENT, ACCESS, EXISTS, LIST, LSTAT, NEVER, READ, STAT, PathId

_LOOK = {EXISTS: b"E", ACCESS: b"A", STAT: b"T", LSTAT: b"O"}


def null_manifest(root: Result, engine: Engine, goal: Goal, own: bytes) -> bytes | None:
    """The manifest, packed; None when a build of this goal can never be null."""
    if root.flags & UNSEEN or not any(post for _pre, post in goal.complete.values()):
        return None
    tables = engine.tree.tables
    products = goal.products
    reads: dict[bytes, bytes] = {}
    looks: list[tuple[bytes, bytes]] = []
    absent: list[bytes] = []
    lists: dict[bytes, bytes] = {}
    for fid in root.facts:
        kind, pid = tables.fact_kind[fid], PathId(tables.fact_path[fid])
        if kind == NEVER:
            return None
        path, value = tables.paths[pid], tables.values[tables.fact_value[fid]]
        if kind == LIST:
            lists[path] = value
        elif pid in products:
            continue  # what it was before the build is the build's own affair; what it is after is below
        elif path[:1] != b"/":
            looks.append((path, b"H" + value))
        elif kind == READ:
            if value[:1] == b"F":
                reads[path] = value
            else:
                looks.append((path, b"T" + value))
        elif kind == ABSENT:
            absent.append(path)
        else:
            looks.append((path, _LOOK[kind] + value))
    for pid, _pre, post in root.outputs():
        path, value = tables.paths[pid], tables.values[post]
        if not value:
            absent.append(path)
        elif value[:1] == b"F":
            reads[path] = value
        else:
            looks.append((path, b"O" + value))
    return _pack(reads, looks, absent, lists, engine, products)


def _pack(
    reads: dict[bytes, bytes],
    looks: list[tuple[bytes, bytes]],
    absent: list[bytes],
    lists: dict[bytes, bytes],
    engine: Engine,
    products: set[PathId],
) -> bytes | None:
    names: dict[bytes, list[bytes]] = {path: [] for path in lists}
    paths = engine.tree.tables.paths
    for pid in products:
        parent = dirname(paths[pid])
        if parent in names:
            names[parent].append(paths[pid][len(parent.rstrip(b"/")) + 1 :])
    # What a READ says covers the weaker looks at the same path.
    look_list = [(p, v) for p, v in looks if not (p in reads and v[:1] in b"EAT")]
    look_list.sort()
    return pack_manifest(
        (
            list(reads),
            list(reads.values()),
            [p for p, _ in look_list],
            [v for _, v in look_list],
            sorted(set(absent)),
            list(lists),
            [v[1:] for v in lists.values()],
            [b"\0".join(names[path]) for path in lists],
        )
    )
