"""PATH as what it is to a step: a set of look-ups. Which names were searched along it, and where each of them leads.

A step that only had programs searched for depends on which file each name led to, not on the value of PATH: a virtual
environment put in front of it changes nothing until there is a program in it that the step starts.
"""

from collections.abc import Iterable

from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model.kinds import ABSENT
from hashmake.model.tables import NO_VALUE, FactId


class Lookups:
    """Searches along values of PATH, in the tree as it is at this moment."""

    def __init__(self, tree: Tree, disk: DiskLike) -> None:
        self._tree = tree
        self._disk = disk
        self._directories: dict[bytes, list[bytes]] = {}
        self._known: dict[bytes, tuple[set[int], dict[int, bytes]]] = {}

    def directories(self, path: bytes) -> list[bytes]:
        """The directories that a value of PATH names, as the interposer tells places: without links."""
        found = self._directories.get(path)
        if found is None:
            found = list(dict.fromkeys(self._disk.real(directory) for directory in path.split(b":")))
            self._directories[path] = found
        return found

    def searched(self, facts: Iterable[int], path: bytes) -> list[bytes]:
        """Names of all that was looked at in one of the directories: each may have been searched for."""
        seen, names = self._known.setdefault(path, (set(), {}))
        tables = self._tree.tables
        facts = set(facts)
        new = facts - seen
        if new:
            seen |= new
            prefixes = {directory.rstrip(b"/") for directory in self.directories(path)}
            for fid in new:
                directory, _, name = tables.paths[tables.fact_path[fid]].rpartition(b"/")
                if directory in prefixes:
                    names[fid] = name
        return sorted({names[fid] for fid in facts & names.keys()})

    def agree(self, names: list[bytes], one: bytes, other: bytes) -> bool:
        """Whether each name leads to the same file along two values of PATH, or along none."""
        return all(self._found(name, one)[0] == self._found(name, other)[0] for name in names)

    def passed(self, names: list[bytes], path: bytes) -> list[FactId]:
        """The facts about where a search found nothing before it came to its end."""
        tree = self._tree
        places = (place for name in names for place in self._found(name, path)[1])
        return [tree.fact_now(ABSENT, tree.tables.path(place)) for place in places]

    def _found(self, name: bytes, path: bytes) -> tuple[bytes, list[bytes]]:
        """Where a search ends (empty: nowhere), and the places that it passed."""
        passed: list[bytes] = []
        for directory in self.directories(path):
            place = directory.rstrip(b"/") + b"/" + name
            if self._starts(place):
                return place, passed
            passed.append(place)
        return b"", passed

    def _starts(self, place: bytes) -> bool:
        tree = self._tree
        pid = tree.tables.path_ids.get(place)
        version = tree.state.get(pid) if pid is not None else None
        if version is not None:
            return version != NO_VALUE
        return self._disk.is_program(place)
