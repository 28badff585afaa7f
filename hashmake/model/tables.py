"""Interned paths, versions and facts: dense numbers for what every trace repeats.

A fact is (kind, path, value): "reading PATH gives version VALUE", "PATH is absent". A trace is a set of fact numbers,
so judging a step is asking whether a set of numbers lies inside the set of those known to hold.
"""

from array import array
from typing import NewType

from hashmake.model import digest
from hashmake.model.kinds import LIST

PathId = NewType("PathId", int)
ValueId = NewType("ValueId", int)
FactId = NewType("FactId", int)

NO_VALUE = ValueId(0)  # digest.ABSENT


class Tables:
    """Append-only; numbers are indices. `saved_*` is how much of each the database already holds."""

    def __init__(self) -> None:
        self.paths: list[bytes] = []
        self.path_ids: dict[bytes, PathId] = {}
        self.values: list[bytes] = [digest.ABSENT]
        self.value_ids: dict[bytes, ValueId] = {digest.ABSENT: NO_VALUE}
        self.fact_kind = bytearray(1)  # fact 0 is not used
        self.fact_path = array("I", [0])
        self.fact_value = array("I", [0])
        self.fact_ids: dict[int, FactId] = {}
        self.facts_on: dict[int, list[FactId]] = {}
        self._listings: set[int] = set()
        self._looked_for_listings = 1
        self.saved_paths = 0
        self.saved_values = 1
        self.saved_facts = 1

    def path(self, path: bytes) -> PathId:
        """The number of path, new or known."""
        pid = self.path_ids.get(path)
        if pid is None:
            pid = PathId(len(self.paths))
            self.paths.append(path)
            self.path_ids[path] = pid
        return pid

    def value(self, value: bytes) -> ValueId:
        """The number of a version or projected version."""
        vid = self.value_ids.get(value)
        if vid is None:
            vid = ValueId(len(self.values))
            self.values.append(value)
            self.value_ids[value] = vid
        return vid

    def fact(self, kind: int, pid: PathId, vid: ValueId) -> FactId:
        """The number of a fact, new or known."""
        packed = (pid << 36) | (vid << 4) | kind
        fid = self.fact_ids.get(packed)
        if fid is None:
            fid = FactId(len(self.fact_kind))
            self.fact_kind.append(kind)
            self.fact_path.append(pid)
            self.fact_value.append(vid)
            self.fact_ids[packed] = fid
            self.facts_on.setdefault(pid, []).append(fid)
        return fid

    def listings(self) -> set[int]:
        """All facts that are listings."""
        at = self.fact_kind.find(LIST, self._looked_for_listings)
        while at >= 0:
            self._listings.add(at)
            at = self.fact_kind.find(LIST, at + 1)
        self._looked_for_listings = len(self.fact_kind)
        return self._listings

    def saved(self) -> None:
        """Everything is in the database now."""
        self.saved_paths = len(self.paths)
        self.saved_values = len(self.values)
        self.saved_facts = len(self.fact_kind)

    def restore_facts(self, kinds: bytes, paths: bytes, values: bytes) -> None:
        """Append facts as saved: the three columns."""
        first = len(self.fact_kind)
        self.fact_kind += kinds
        self.fact_path.frombytes(paths)
        self.fact_value.frombytes(values)
        facts_on, fact_ids = self.facts_on, self.fact_ids
        columns = zip(kinds, self.fact_path[first:], self.fact_value[first:], strict=True)
        for fid, (kind, pid, vid) in enumerate(columns, first):
            fact_ids[(pid << 36) | (vid << 4) | kind] = FactId(fid)
            if pid in facts_on:
                facts_on[pid].append(FactId(fid))
            else:
                facts_on[pid] = [FactId(fid)]
        self.saved_facts = len(self.fact_kind)


class Texts:
    """Interned byte strings: environment fact sets, environment blocks."""

    def __init__(self) -> None:
        self.all: list[bytes] = [b""]
        self.ids: dict[bytes, int] = {b"": 0}
        self.saved = 1

    def number(self, text: bytes) -> int:
        """The number of text, new or known."""
        found = self.ids.get(text)
        if found is None:
            found = self.ids[text] = len(self.all)
            self.all.append(text)
        return found
