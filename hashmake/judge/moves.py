"""Paths that a write concerns though no record names them: below a renamed directory, other names of a file."""

from hashmake.judge.account import Account
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model.kinds import LIST, READ
from hashmake.model.letters import MOVEDIR, WRITE


class Moves:
    """Widens the sets of paths that steps have touched."""

    def __init__(self, tree: Tree, disk: DiskLike) -> None:
        self._tree = tree
        self._disk = disk
        self._hard_links: dict[tuple[int, int], set[bytes]] = {}  # names of one file

    def directories(self, account: Account, writes: list[bytes], touched: set[bytes]) -> None:
        """A renamed directory: everything below has a new name. What it was is an input, as what a copy reads is."""
        made = {r[1:] for r in writes if r[:1] == WRITE}
        for at, record in enumerate(writes):
            if record[:1] != MOVEDIR or not writes[at + 1 : at + 2] or not writes[at + 1][1:].strip(b"/"):
                continue
            old, new = record[1:], writes[at + 1][1:]
            for where, directories, files in self._disk.below(new):
                if old not in made:
                    self._moved_along(account, old + where[len(new) :], directories + files)
                for name in directories + files:
                    path = where + b"/" + name
                    touched.add(path)
                    touched.add(old + path[len(new) :])
            prefix = old + b"/"
            paths = self._tree.tables.paths
            touched.update(paths[p] for p, v in self._tree.state.items() if v and paths[p].startswith(prefix))

    def links(self, touched: set[bytes], records: list[bytes]) -> None:
        """What was written under one name of a file was written under all of them."""
        for path in sorted(touched):
            file = self._disk.linked_file(path)
            if file is None:
                continue
            names = self._hard_links.get(file, set())
            if path not in names:
                # A new name, whose other one this step read, or links that an earlier build made.
                looked = {r[1:] for r in records if r[:1] == b"r"}
                known = {name for name in looked if self._disk.linked_file(name) == file}
                names = known or {n for n in self._products() if self._disk.linked_file(n) == file}
                self._hard_links.setdefault(file, set()).update(names, {path})
                if known:
                    continue
            touched.update(name for name in names if self._disk.linked_file(name) == file)

    def _products(self) -> list[bytes]:
        paths = self._tree.tables.paths
        return [paths[pid] for pid, version in self._tree.state.items() if version]

    def _moved_along(self, account: Account, directory: bytes, names: list[bytes]) -> None:
        """Facts about a directory that was moved: which names it held, and what each of these was."""
        tree = self._tree
        pid = tree.tables.path(directory)
        if account.internal(self._tree, pid):
            return
        version = b"N" + b"\0".join(sorted(names))
        account.facts.add(tree.tables.fact(LIST, pid, tree.tables.value(version)))
        for name in names:
            child = tree.tables.path(directory + b"/" + name)
            here = tree.state.get(child)
            if here and not account.internal(self._tree, child):
                account.facts.add(tree.tables.fact(READ, child, here))
