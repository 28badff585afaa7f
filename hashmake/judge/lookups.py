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
        # By PATH: how many paths and facts have been looked at; names by paths, and by facts.
        self._known: dict[bytes, tuple[int, int, dict[int, bytes], dict[FactId, bytes]]] = {}

    def directories(self, path: bytes) -> list[bytes]:
        """The directories that a value of PATH names, as the interposer tells places: without links."""
        found = self._directories.get(path)
        if found is None:
            found = list(dict.fromkeys(self._disk.real(directory) for directory in path.split(b":")))
            self._directories[path] = found
        return found

    def searched(self, facts: Iterable[int], path: bytes) -> list[bytes]:
        """Names of all that was looked at in one of the directories: each may have been searched for."""
        names = self._names(path)
        return sorted({names[FactId(fid)] for fid in set(facts).intersection(names)})

    def _names(self, path: bytes) -> dict[FactId, bytes]:
        """All facts about paths in one of the directories, and the last names of these."""
        tables = self._tree.tables
        looked_paths, looked_facts, pids, names = self._known.get(path, (0, 0, {}, {}))
        paths, fact_path = tables.paths, tables.fact_path
        if looked_paths < len(paths):
            prefixes = {directory.rstrip(b"/") + b"/" for directory in self.directories(path)}
            below = tuple(prefixes)
            for number in range(looked_paths, len(paths)):
                if paths[number].startswith(below):
                    directory, slash, name = paths[number].rpartition(b"/")
                    if directory + slash in prefixes:
                        pids[number] = name
        if looked_facts < len(fact_path):
            for fid, pid in enumerate(fact_path[looked_facts:], looked_facts):
                if pid in pids:
                    names[FactId(fid)] = pids[pid]
            self._known[path] = (len(paths), len(fact_path), pids, names)
        return names

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
