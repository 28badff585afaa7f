"""The recording: what past builds did. Results by key, products and sources by path, goals by what was asked for.

Lives in memory; database.py loads it and saves what is new. Knows no files and no processes.
"""

from array import array
from typing import TYPE_CHECKING

from hashmake.result import COMPOSITE, FAILED, Result, ResultId
from hashmake.tables import NO_VALUE, PathId, Tables, ValueId

if TYPE_CHECKING:
    from collections.abc import Callable

_KEEP_PER_KEY = 8
_KEEP_ROOTS = 4


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


class Goal:
    """One goal of make in one directory.

    roots     (input digest, root ResultId) of the latest complete builds, newest last
    products  paths that builds of this goal ever wrote, also failed ones: "once written, derived"
    complete  products of the last complete build: path -> (version before the build, version after)
    began     paths that were there before a build of this goal took them over: their version and moment then
    """

    __slots__ = ("began", "changed", "complete", "key", "products", "roots")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.roots: list[tuple[bytes, ResultId]] = []
        self.products: set[PathId] = set()
        self.complete: dict[PathId, tuple[ValueId, ValueId]] = {}
        self.began: dict[PathId, tuple[ValueId, int]] = {}
        self.changed = False

    def root_for(self, inputs: bytes) -> ResultId | None:
        """The latest root result for these inputs."""
        for digest, rid in reversed(self.roots):
            if digest == inputs:
                return rid
        return None

    def set_root(self, inputs: bytes, root: Result) -> None:
        """A complete build ended."""
        self.roots = [(d, r) for d, r in self.roots if d != inputs][-_KEEP_ROOTS + 1 :]
        self.roots.append((inputs, root.id))
        before = self.complete
        self.complete = {pid: (pre, post) for pid, pre, post in root.outputs()}
        for pid, (pre, post) in before.items():
            # There before any build of this goal: it never becomes a product that can be hidden.
            if pre != NO_VALUE and pid not in self.complete:
                self.complete[pid] = (post, post)
        self.changed = True


class Recording:
    """See the module's text.

    products  path -> (last known version, moment): of all goals
    writers   path -> key of the goal that last wrote it
    sources   path -> (last known version, moment at which it was last seen to change)
    links     (path, version) -> versions that known steps made of it
    makers    (path, version) -> the plain result that left it so
    """

    def __init__(self) -> None:
        self.tables = Tables()
        self.env_sets = Texts()
        self.env_blocks = Texts()
        self.seq = 0
        self.build = 0
        self.next_result = 1
        self.goals: dict[bytes, Goal] = {}
        self.products: dict[PathId, tuple[ValueId, int]] = {}
        self.sources: dict[PathId, tuple[ValueId, int]] = {}
        self.writers: dict[PathId, bytes] = {}
        self.links: dict[tuple[PathId, ValueId], set[ValueId]] = {}
        self.makers: dict[tuple[PathId, ValueId], ResultId] = {}
        self.new_results: list[Result] = []
        self.new_links = array("I")
        self.changed_keys: set[bytes] = set()
        self.new_products: list[tuple[bytes, PathId]] = []
        self._results: dict[ResultId, Result] = {}
        self._keys: dict[bytes, list[ResultId]] = {}
        self.load_result: Callable[[ResultId], Result | None] = lambda _rid: None
        self.load_key: Callable[[bytes], list[ResultId]] = lambda _key: []

    # -- results --------------------------------------------------------------------------------------------------

    def result(self, rid: ResultId) -> Result | None:
        """The result with this number; None if it is lost."""
        found = self._results.get(rid)
        if found is None:
            found = self.load_result(rid)
            if found is not None:
                self._results[rid] = found
        return found

    def ids_for(self, key: bytes) -> list[ResultId]:
        """Numbers of the results of this key, newest last."""
        found = self._keys.get(key)
        if found is None:
            found = self._keys[key] = self.load_key(key)
        return found

    def candidates(self, key: bytes) -> list[Result]:
        """Results of this key, newest first."""
        return [r for rid in reversed(self.ids_for(key)) if (r := self.result(rid)) is not None]

    def accept(self, result: Result) -> Result:
        """Remember a result; one that says the same as an older one is that one again."""
        ids = self.ids_for(result.key)
        for rid in ids:
            old = self.result(rid)
            if old is not None and _same(old, result):
                ids.remove(rid)
                ids.append(rid)
                self.changed_keys.add(result.key)
                return old
        result.id = ResultId(self.next_result)
        self.next_result += 1
        result.build = self.build
        self._results[result.id] = result
        self.new_results.append(result)
        ids.append(result.id)
        del ids[:-_KEEP_PER_KEY]
        self.changed_keys.add(result.key)
        if not result.flags & (COMPOSITE | FAILED):
            self._learn_versions(result)
        return result

    def _learn_versions(self, result: Result) -> None:
        for pid, pre, post in result.outputs():
            self.add_link(pid, pre, post, result.id)
            self.new_links.extend((pid, pre, post, result.id))

    def add_link(self, pid: PathId, pre: ValueId, post: ValueId, rid: ResultId) -> None:
        """A known step made `post` of version `pre`."""
        self.makers[pid, post] = rid
        if pre not in (post, NO_VALUE):
            self.links.setdefault((pid, pre), set()).add(post)

    def reaches(self, pid: PathId, start: ValueId, end: ValueId) -> bool:
        """Whether known steps lead from one version of pid to the other."""
        seen = {start}
        todo = [start]
        while todo:
            for version in self.links.get((pid, todo.pop()), ()):
                if version == end:
                    return True
                if version not in seen:
                    seen.add(version)
                    todo.append(version)
        return False

    def drop(self, result: Result) -> None:
        """Forget a result that turned out to be of no use."""
        ids = self.ids_for(result.key)
        if result.id in ids:
            ids.remove(result.id)
            self.changed_keys.add(result.key)

    # -- goals and paths ------------------------------------------------------------------------------------------

    def goal(self, key: bytes) -> Goal:
        """The goal of this key, new or known."""
        found = self.goals.get(key)
        if found is None:
            found = self.goals[key] = Goal(key)
        return found

    def product(self, goal: Goal, pid: PathId, found: ValueId, version: ValueId, seq: int) -> None:
        """A build of goal wrote pid, where it had found version `found`."""
        if found != NO_VALUE and self.writers.get(pid) != goal.key:
            goal.began[pid] = (found, (self.products.get(pid) or self.sources.get(pid) or (found, 0))[1])
            goal.changed = True
        self.writers[pid] = goal.key
        if pid not in goal.products:
            goal.products.add(pid)
            self.new_products.append((goal.key, pid))
        self.products[pid] = (version, seq)
        self.sources.pop(pid, None)

    def saved(self) -> None:
        """Everything is in the database now."""
        self.tables.saved()
        for texts in (self.env_sets, self.env_blocks):
            texts.saved = len(texts.all)
        for goal in self.goals.values():
            goal.changed = False
        self.new_results.clear()
        self.changed_keys.clear()
        self.new_products.clear()
        del self.new_links[:]


def _same(a: Result, b: Result) -> bool:
    return (
        a.facts == b.facts
        and a.outs == b.outs
        and a.env == b.env
        and a.code == b.code
        and a.flags == b.flags
        and a.stdout == b.stdout
        and a.kids == b.kids
    )
