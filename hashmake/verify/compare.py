"""What running steps again says about their records: who is not repeatable, who was wrongly judged current.

Two evaluations of one goal are compared: the one in which steps were judged by their records, and the one in which they
ran again. A step whose inputs were the same and whose result is another is not repeatable. A step whose inputs were
others is explained by whoever made those inputs; where nothing explains them, its record was wrongly believed.
Pure: knows results, not files.
"""

from hashmake.judge.reason import Reason
from hashmake.model import digest
from hashmake.model.kinds import ABSENT, ACCESS, LIST, LSTAT, NAME, NEVER, READ, STAT, as_seen
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, FAILED, SHELL, Result, ResultId
from hashmake.model.tables import PathId, ValueId
from hashmake.verify.step import Step, does_something

_STAT_LIKE = (STAT, ACCESS)
_CONTENT = (READ, STAT)


class Differing:
    """A step that ran again and made something else; `before` is None when no such step was recorded."""

    __slots__ = ("again", "before", "outs", "printed", "verdict", "why")

    def __init__(self, before: Step | None, again: Step, outs: list[PathId]) -> None:
        self.before = before
        self.again = again
        self.outs = outs
        self.printed = before is not None and _printed(before.result) != _printed(again.result)
        self.verdict = ""
        self.why: Reason | None = None


class Findings:
    """See the module's text; `follows`: differing steps that others explain."""

    def __init__(self) -> None:
        self.not_repeatable: list[Differing] = []
        self.wrongly_current: list[Differing] = []
        self.follows: list[Differing] = []
        self.not_comparable: list[Differing] = []
        self.gone: list[Step] = []


def _printed(result: Result) -> tuple[bytes, bool]:
    return (result.stdout if result.kind == SHELL else b"", bool(result.flags & FAILED))


class Comparison:
    """Of the steps of two evaluations."""

    def __init__(
        self,
        recording: Recording,
        before: dict[ResultId, Step],
        again: dict[ResultId, Step],
        lost: dict[PathId, ValueId],
    ) -> None:
        """`lost`: paths that were there before the build, in a version that the build itself overwrote."""
        self._tables = recording.tables
        self._lost = lost
        self._envs = recording.env_sets.all
        self._before = before
        self._again = again
        self._versions: dict[PathId, set[ValueId]] = {}
        for step in before.values():
            for pid, post in step.outs.items():
                self._versions.setdefault(pid, set()).add(post)
        self._made_again = {pid for step in again.values() for pid in step.outs}
        self._by_key: dict[bytes, list[Step]] = {}
        for step in before.values():
            self._by_key.setdefault(step.result.key, []).append(step)
        self._tainted: set[PathId] = set()
        self._unsettled: set[ResultId] = set()  # steps with another result: what contains them is explained by them
        self._printed_else = False

    def findings(self) -> Findings:
        """The verdicts, in the order in which the steps ended."""
        differing = [d for rid, step in self._again.items() if rid not in self._before and (d := self._look(step))]
        for d in differing:
            self._begin(d)
        while rest := [d for d in differing if not d.verdict]:
            explained = [d for d in rest if self._explained(d)]
            for d in explained:
                self._settle(d, "follows")
            if not explained:
                # A step that nobody explains, the first of them; it may explain the others.
                first = next((d for d in rest if d.before is not None), rest[0])
                first.why = self._unexplained(first)
                self._settle(first, "wrongly current" if first.why else "not repeatable")
        return self._sorted(differing)

    def _sorted(self, differing: list[Differing]) -> Findings:
        out = Findings()
        lists = {
            "not repeatable": out.not_repeatable,
            "wrongly current": out.wrongly_current,
            "follows": out.follows,
            "not comparable": out.not_comparable,
        }
        for d in differing:
            lists[d.verdict].append(d)
        keys = {step.result.key for step in self._again.values()}
        lost = [s for s in self._before.values() if s.result.key not in keys and does_something(s)]
        if not differing:
            out.gone = lost
        return out

    def _begin(self, d: Differing) -> None:
        """The verdict that a plain step's own inputs give; none when they differ."""
        if d.before is None or d.again.result.flags & COMPOSITE:
            return
        gone = self._lost_input(d.before)
        if gone is not None:
            d.why = Reason("Lost", self._tables.paths[gone])
            self._settle(d, "not comparable")
        elif d.before.result.env == d.again.result.env and not self._conflicts(d)[1]:
            self._settle(d, "not repeatable")

    def _lost_input(self, step: Step) -> PathId | None:
        """A path that it read first thing in a version that is gone: it had to run on what the build left there."""
        tables = self._tables
        for fid in step.result.facts:
            pid = PathId(tables.fact_path[fid])
            if tables.fact_kind[fid] == READ and self._lost.get(pid) == tables.fact_value[fid]:
                return pid
        return None

    def _settle(self, d: Differing, verdict: str) -> None:
        d.verdict = verdict
        self._tainted.update(d.outs)
        self._unsettled.add(d.again.result.id)
        self._printed_else = self._printed_else or d.printed

    def _look(self, again: Step) -> Differing | None:
        """How a step that ran differs from its record; None if it does not."""
        candidates = self._by_key.get(again.result.key)
        if not candidates:
            news = [pid for pid, post in again.outs.items() if post not in self._versions.get(pid, ())]
            return Differing(None, again, news) if does_something(again) else None
        best: Differing | None = None
        least = 1 << 60
        for before in candidates:
            outs = [p for p in {**before.outs, **again.outs} if before.outs.get(p, 0) != again.outs.get(p, 0)]
            d = Differing(before, again, sorted(outs))
            if not d.outs and not d.printed:
                return None
            weight = sum(map(len, self._conflicts(d)))
            if weight < least:
                best, least = d, weight
        return best

    # -- inputs -----------------------------------------------------------------------------------------------------

    def _conflicts(self, d: Differing) -> tuple[set[PathId], dict[PathId, Reason]]:
        """Paths of which only one of the two runs knows something, and those of which both know different things.

        A file that the new run read and of which the record knows nothing counts as one of the latter.
        """
        if d.before is None:
            return set(), {}
        old, new = set(d.before.result.facts), set(d.again.result.facts)
        gone, come = self._by_path(old - new), self._by_path(new - old)
        hard: dict[PathId, Reason] = {}
        for pid, facts in come.items():
            before = gone.get(pid, [])
            for kind, value in facts:
                reason = next((r for k, v in before if (r := self._conflict(pid, k, v, kind, value))), None)
                if reason is not None:
                    hard[pid] = reason
        known = self._by_path(old)
        for pid, facts in come.items():
            read = next((v for k, v in facts if k == READ and self._tables.values[v][:1] == b"F"), None)
            if read is not None and pid not in known and pid not in d.before.outs:
                hard[pid] = Reason("Unseen", self._tables.paths[pid], b"", self._tables.values[read])
        return gone.keys() ^ come.keys(), hard

    def _by_path(self, facts: set[int]) -> dict[PathId, list[tuple[int, ValueId]]]:
        tables = self._tables
        found: dict[PathId, list[tuple[int, ValueId]]] = {}
        for fid in facts:
            if tables.fact_kind[fid] != NEVER:
                row = (tables.fact_kind[fid], ValueId(tables.fact_value[fid]))
                found.setdefault(PathId(tables.fact_path[fid]), []).append(row)
        return found

    def _conflict(self, pid: PathId, kind: int, old: ValueId, other: int, new: ValueId) -> Reason | None:
        """Whether the two facts about pid can't hold at once."""
        values = self._tables.values
        before, now = values[old], values[new]
        if ABSENT in (kind, other):
            clash = kind != other
        elif kind == other == NAME:
            clash = old != new and before.partition(b"=")[0] == now.partition(b"=")[0]
        elif kind == other:
            clash = old != new
        elif kind in _CONTENT and other in _STAT_LIKE:
            clash = as_seen(other, before) != now
        elif other in _CONTENT and kind in _STAT_LIKE:
            clash = as_seen(kind, now) != before
        else:
            clash = False
        return Reason("ReadChanged", self._tables.paths[pid], before, now) if clash else None

    def _names(self, pid: PathId, d: Differing) -> set[PathId]:
        """The names in which two listings of a directory differ, as paths that are known."""
        assert d.before is not None  # noqa: S101  # only asked where both runs listed it
        both = [set(self._by_path(set(s.result.facts)).get(pid, ())) for s in (d.before, d.again)]
        lists = [{n for k, v in rows if k == LIST for n in self._tables.values[v][1:].split(b"\0")} for rows in both]
        prefix = self._tables.paths[pid].rstrip(b"/") + b"/"
        ids = self._tables.path_ids
        return {ids[prefix + n] for n in lists[0] ^ lists[1] if prefix + n in ids}

    # -- verdicts ---------------------------------------------------------------------------------------------------

    def _explained(self, d: Differing) -> bool:
        """Whether what it consumed differs, and differs because of a step that has its verdict."""
        if d.before is None:
            # Another command: make read something else, or $(shell) printed something else.
            return bool(self._unsettled)
        if d.before.result.env != d.again.result.env and self._printed_else:
            return True
        if d.again.result.flags & COMPOSITE and self._contains_unsettled(d.again):
            return True
        soft, hard = self._conflicts(d)
        seen = soft | hard.keys()
        seen |= {name for pid in hard for name in self._names(pid, d)}
        return not seen.isdisjoint(self._tainted)

    def _contains_unsettled(self, step: Step) -> bool:
        todo = list(step.result.kids)
        while todo:
            rid = ResultId(todo.pop())
            if rid in self._unsettled:
                return True
            if rid in self._again:
                todo.extend(self._again[rid].result.kids)
        return False

    def _unexplained(self, d: Differing) -> Reason | None:
        """Why its record should not have been believed; None where its inputs were the same: it is not repeatable."""
        if d.before is None:
            return Reason("NeverRan")
        if d.before.result.env != d.again.result.env:
            old, new = (self._envs[s.result.env] for s in (d.before, d.again))
            return Reason("VariableChanged", b"of its environment", old, new)
        for pid, reason in self._conflicts(d)[1].items():
            if not self._only_order(pid, reason):
                return reason
        return None

    def _only_order(self, pid: PathId, reason: Reason) -> bool:
        """Whether both runs saw what this build makes of the path, at different moments: steps run in parallel."""
        if pid not in self._versions or pid not in self._made_again or reason.kind == "Unseen":
            return False
        versions = {self._tables.values[v] for v in self._versions[pid]}
        projected = {as_seen(kind, v) for v in versions for kind in (READ, LSTAT, STAT, ACCESS)}
        return reason.old in (digest.ABSENT, b"E") or reason.old in projected
