"""What a step looked at and read: facts about the tree as it was when the step started."""

from collections.abc import Container
from posixpath import basename, dirname, join

from hashmake.judge.account import Account
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model.kinds import ABSENT, ACCESS, EXISTS, LSTAT, NEVER, READ, STAT
from hashmake.model.tables import NO_VALUE, PathId

LOOK_KINDS = {b"r": READ, b"s": STAT, b"l": LSTAT, b"a": ACCESS, b"k": EXISTS, b"n": ABSENT}


class Reads:
    """Takes looks and reads into the accounts of steps over one tree."""

    def __init__(self, tree: Tree, disk: DiskLike) -> None:
        self._tree = tree
        self._disk = disk
        self._ends: dict[tuple[bytes, bytes], bytes] = {}  # a link that is no product, its version: where it leads

    def _own_directory_of(self, account: Account, directory: bytes) -> bool:
        """Whether this step made the directory, or made and removed it: nothing in it can have been there before."""
        pid = self._tree.tables.path_ids.get(directory)
        if pid is None or (pid not in account.outs and pid not in self._tree.state):
            return not self._disk.is_directory(directory)
        return account.outs.get(pid, (self._tree.state.get(pid, NO_VALUE), 0))[0] == NO_VALUE

    def absent(self, account: Account, record: bytes, unique: Container[bytes]) -> None:
        """It was looked for and was not there. `unique`: all records of the step."""
        path = record[1:]
        tree = self._tree
        if dirname(path) in account.wrote and self._own_directory_of(account, dirname(path)):
            return
        pid = tree.tables.path(path)
        if account.internal(self._tree, pid):
            return
        if b"r" + path in unique or b"s" + path in unique or b"k" + path in unique:
            return  # someone else made it meanwhile; the stronger access wins
        fid = tree.tables.fact(ABSENT, pid, NO_VALUE)
        account.facts.add(fid)
        if tree.check(fid) and not account.make:
            tree.learn(record, fid)

    def look(self, account: Account, record: bytes, kind: int) -> None:
        """It was there, and this much was seen of it."""
        path = record[1:]
        tree = self._tree
        pid = tree.tables.path(path)
        if account.internal(self._tree, pid):
            if kind == READ:
                account.reread.add(pid)
            return
        if kind == EXISTS:
            account.looks.add(pid)
            return
        links = self._links(account, path, pid) if kind != LSTAT else None
        if links is not None:
            path, pid = links
        if kind in (READ, STAT, LSTAT) and pid not in tree.state and not self._readable(account, path, pid, kind):
            return
        fid = tree.fact_now(kind, pid)
        account.facts.add(fid)
        if links is None and not account.make:
            tree.learn(record, fid)

    def _links(self, account: Account, path: bytes, pid: PathId) -> tuple[bytes, PathId] | None:
        """Where a path that is a link leads: each link is a fact of its own, the access belongs to the end."""
        tree = self._tree
        found = None
        for _ in range(40):
            version = tree.state.get(pid)
            own = self._disk.own(path) if version is None else tree.tables.values[version]
            if own[:1] != b"L":
                return found
            account.facts.add(tree.fact_now(LSTAT, pid))
            end = self._ends.get((path, own)) if version is None else None
            if end is None:
                target = join(dirname(path), own[1:])
                end = join(self._disk.real(dirname(target)), basename(target))
                if version is None:
                    self._ends[path, own] = end
            path = end
            pid = tree.tables.path(path)
            found = (path, pid)
        return found

    def _readable(self, account: Account, path: bytes, pid: PathId, kind: int) -> bool:
        """Whether what the disk holds now is what the step read; if that can't be known, the step is stale."""
        if kind != READ and (self._disk.head(path)[:1] != b"F" or self._disk.is_link(path)):
            return True  # of directories and the like nothing is known but that they are there
        version = self._disk.content(path) if kind == READ else self._disk.looked(path)
        if version and not self._disk.changed_since(path, account.started_ns):
            return True
        if version and path[:1] != b"/":
            return True
        account.facts.add(self._tree.tables.fact(NEVER, pid, NO_VALUE))
        return False
