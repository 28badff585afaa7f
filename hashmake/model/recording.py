"""The recording: what past builds did. Results by key, products and sources by path, goals by what was asked for.

Lives in memory; state/archive.py loads it and saves what is new. Knows no files and no processes.
"""

from array import array
from typing import TYPE_CHECKING, NamedTuple

from hashmake.model.course import Course
from hashmake.model.goal import Goal
from hashmake.model.kinds import READ
from hashmake.model.result import COMPOSITE, FAILED, UNSEEN, Result, ResultId
from hashmake.model.tables import NO_VALUE, PathId, Tables, Texts, ValueId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_KEEP_PER_KEY = 8
_COMPOSITES = (
    3  # of a step in which make ran: they are large, each edit below makes another one, and evaluating is cheap
)


class Seed(NamedTuple):
    """A table that a build approaches step by step: what the step that makes it wrote, and where it ended.

    changed_from  where an earlier build had ended, before it last changed; changed_in: number of the build that did it
    """

    first: bytes
    last: bytes
    changed_from: bytes = b""
    changed_in: int = 0


class Recording:
    """See the module's text.

    products  path -> (last known version, moment): of all goals
    writers   path -> key of the goal that last wrote it
    sources   path -> (last known version, moment at which it was last seen to change)
    links     (path, version) -> versions that known steps made of it -> the latest that did (0: a composite)
    findings  (kind, version of a file) -> what was found in its text
    gone      numbers of results that nothing leads to any more, not yet deleted
    seeds     path of a table -> how it began, and what the last build came to (judge/projector.py)
    touched   (path, version) -> steps that left its content alone, and changed its mode, say
    undone    what such a step had done was lost in this build, and may have been done again or not
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
        self.links: dict[tuple[PathId, ValueId], dict[ValueId, ResultId]] = {}
        self.makers: dict[tuple[PathId, ValueId], ResultId] = {}
        self.touched: dict[tuple[PathId, ValueId], set[ResultId]] = {}
        self.undone = False
        self.new_results: list[Result] = []
        self.new_links = array("I")
        self.gone: list[ResultId] = []
        self.changed_keys: set[bytes] = set()
        self.new_products: list[tuple[bytes, PathId]] = []
        self._results: dict[ResultId, Result] = {}
        self._keys: dict[bytes, list[ResultId]] = {}
        self.seeds: dict[bytes, Seed] = {}
        self.new_findings: list[tuple[bytes, bytes]] = []
        self.new_courses: dict[ResultId, Course | None] = {}
        self.load_course: Callable[[ResultId], Course | None] = lambda _rid: None
        self._findings: dict[bytes, frozenset[bytes]] = {}
        self.load_finding: Callable[[bytes], frozenset[bytes] | None] = lambda _key: None
        self.load_findings: Callable[[bytes], Iterable[tuple[bytes, frozenset[bytes]]]] = lambda _letter: ()
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

    def candidates(self, key: bytes) -> "Iterator[Result]":
        """Results of this key, newest first, each loaded in its turn: the first is nearly always current."""
        for rid in self.ids_for(key)[::-1]:
            result = self.result(rid)
            if result is not None:
                yield result

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
        self._let_go(ids, _COMPOSITES if result.flags & COMPOSITE else _KEEP_PER_KEY)
        self.changed_keys.add(result.key)
        if not result.flags & (COMPOSITE | FAILED):
            self._learn_versions(result)
        return result

    def _let_go(self, ids: list[ResultId], keep: int) -> None:
        """Keep the newest results of a step. A plain one may still be the maker of a version: compaction knows that."""
        roots = {rid for goal in self.goals.values() for _inputs, rid in goal.roots}
        for rid in ids[:-keep]:
            old = self.result(rid)
            if old is not None and old.flags & COMPOSITE and rid not in roots:
                self.gone.append(rid)
        del ids[:-keep]

    def learn_course(self, rid: ResultId, course: Course) -> None:
        """How make went through a composite the last time that it did."""
        self.new_courses[rid] = course

    def no_course(self, rid: ResultId) -> None:
        """That is not known any more."""
        self.new_courses[rid] = None

    def course(self, rid: ResultId) -> Course | None:
        """The course of a composite; None: it is not known."""
        return self.new_courses[rid] if rid in self.new_courses else self.load_course(rid)

    def prefer(self, result: Result) -> None:
        """A known result is the latest again."""
        ids = self.ids_for(result.key)
        if ids[-1:] != [result.id]:
            ids.remove(result.id)
            ids.append(result.id)
            self.changed_keys.add(result.key)

    def _learn_versions(self, result: Result) -> None:
        for pid, pre, post in result.outputs():
            self.add_link(pid, pre, post, result.id)
            self.new_links.extend((pid, pre, post, result.id))

    def learn_own_write(self, pid: PathId, pre: ValueId, post: ValueId) -> None:
        """A composite itself made `post` of version `pre`: make took an intermediate file away."""
        if pre not in (post, NO_VALUE) and post not in self.links.get((pid, pre), ()):
            self.add_link(pid, pre, post, ResultId(0))
            self.new_links.extend((pid, pre, post, 0))

    def add_link(self, pid: PathId, pre: ValueId, post: ValueId, rid: ResultId) -> None:
        """A known step (0: a composite, which can't run again by itself) made `post` of version `pre`."""
        if rid and pre == post:
            self.touched.setdefault((pid, post), set()).add(rid)
            self.makers.setdefault((pid, post), rid)
        elif rid:
            self.makers[pid, post] = rid
        if pre not in (post, NO_VALUE):
            self.links.setdefault((pid, pre), {})[post] = rid

    def reaches(
        self, pid: PathId, start: ValueId, end: ValueId, usable: "Callable[[ResultId], bool] | None" = None
    ) -> bool:
        """Whether known steps lead from one version of pid to the other. `usable`: which results count (0: no step)."""
        seen = {start}
        todo = [start]
        while todo:
            here = todo.pop()
            for version, step in self.links.get((pid, here), {}).items():
                if version in seen or (usable and not usable(step)):
                    continue
                if version == end:
                    return True
                seen.add(version)
                todo.append(version)
        return False

    def made_by_step(self, pid: PathId, version: ValueId) -> bool:
        """Whether a step that could be followed made this version (not a person at a terminal, say).

        NO_VALUE: a step removed it, or was killed while it wrote. Of what a script that calls make left itself there is
        no maker, but a complete build that came to it.
        """
        if version == NO_VALUE:
            return True
        maker = self.result(self.makers.get((pid, version), ResultId(0)))
        if maker is None:
            return any(goal.complete.get(pid, (NO_VALUE, NO_VALUE))[1] == version for goal in self.goals.values())
        return not maker.flags & UNSEEN

    def replaced(self, pid: PathId, version: ValueId) -> bool:
        """Whether the step that left this version did not look at what had been there before, or failed."""
        maker = self.result(self.makers.get((pid, version), ResultId(0)))
        if maker is None:
            # Of a composite's own write there is a link; a step that failed is not believed to have made anything.
            return not any(version in made for (path, _before), made in self.links.items() if path == pid)
        kinds, paths = self.tables.fact_kind, self.tables.fact_path
        return not any(paths[fid] == pid and kinds[fid] == READ for fid in maker.facts)

    def drop(self, result: Result) -> None:
        """Forget a result that turned out to be of no use."""
        ids = self.ids_for(result.key)
        if result.id in ids:
            ids.remove(result.id)
            self.changed_keys.add(result.key)

    def made_anew(self, pid: PathId, version: ValueId) -> None:
        """A step has just made this version: what others had done to the file that held it has to be done again."""
        for rid in self.touched.pop((pid, version), ()):
            result = self.result(rid)
            if result is not None:
                self.drop(result)
                self.undone = True

    def drop_makers(self, result: Result, pid: PathId) -> None:
        """Forget all results of this step that leave pid as this one does."""
        left = [post for out, _pre, post in result.outputs() if out == pid]
        for candidate in self.candidates(result.key):
            if [post for out, _pre, post in candidate.outputs() if out == pid] == left:
                self.drop(candidate)

    def makes_around(self, make: Result, below: Result, seen: set[int]) -> list[Result]:
        """The makes from `make` down to a result below it; empty when it is not. `seen`: looked into already."""
        if below.id in make.kids:
            return [make]
        for rid in make.kids:
            if rid in seen:
                continue
            seen.add(rid)
            kid = self.result(ResultId(rid))
            found = self.makes_around(kid, below, seen) if kid is not None and kid.kids else []
            if found:
                return [make, *found]
        return []

    # -- what was found in files ------------------------------------------------------------------------------------

    def finding(self, letter: bytes, version: bytes) -> frozenset[bytes] | None:
        """What was found in a file of that version; None: nobody has looked yet."""
        key = letter + version
        known = self._findings.get(key)
        if known is None:
            known = self.load_finding(key)
            if known is not None:
                self._findings[key] = known
        return known

    def all_found(self, letter: bytes) -> frozenset[bytes]:
        """Whatever was found in any file, with this question."""
        for key, names in self.load_findings(letter):
            self._findings.setdefault(key, names)
        return frozenset().union(*(names for key, names in self._findings.items() if key[:1] == letter))

    def found(self, letter: bytes, version: bytes, names: frozenset[bytes]) -> None:
        """Somebody looked."""
        self._findings[letter + version] = names
        self.new_findings.append((letter + version, b"\0".join(sorted(names))))

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

    def becomes_source(self, pid: PathId, version: ValueId, seq: int) -> None:
        """No rule makes a product any more, and there it is."""
        for goal in self.goals.values():
            if pid in goal.products:
                goal.products.discard(pid)
                goal.complete.pop(pid, None)
                goal.began.pop(pid, None)
                goal.changed = True
        self.products.pop(pid, None)
        self.sources[pid] = (version, seq)

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
        self.new_findings.clear()
        self.new_courses.clear()
        self.gone.clear()
        del self.new_links[:]


def _same(a: Result, b: Result) -> bool:
    return (
        a.facts == b.facts
        and a.outs == b.outs
        and a.env == b.env
        and a.code == b.code
        and a.flags == b.flags
        and (a.kept, a.stdout, a.stderr, a.modes) == (b.kept, b.stdout, b.stderr, b.modes)
        and a.kids == b.kids
    )
