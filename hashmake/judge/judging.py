"""Whether a recorded step is current, in the environment and the tree in which make asks for it."""

from collections.abc import Iterator
from posixpath import dirname

from hashmake.judge.environments import Environments
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.projector import Projector
from hashmake.judge.reason import Reason
from hashmake.judge.verdict import input_differences, judge_inputs, judge_kind, judge_outputs, output_differences
from hashmake.model.environment import Environment
from hashmake.model.result import COMPOSITE, FAILED, UNSEEN, Result, ResultId
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId


class Judge:
    """See the module's text.

    removed  paths taken over from another goal that are not there, because that goal removed them
    """

    def __init__(self, evaluation: Evaluation, environments: Environments, projector: Projector) -> None:
        self.removed: set[PathId] = set()
        self._evaluation = evaluation
        self._environments = environments
        self._projector = projector
        self._led_on: set[PathId] = set()  # whose later versions are being looked into

    def judge(self, candidate: Result, environment: Environment, cwd: bytes) -> Reason | None:
        """Why a recorded step is not current, asked for in this environment; None: it is."""
        reason = judge_kind(candidate) or self._judge_seeds(candidate)
        reason = reason or self._environments.judge(candidate, environment, cwd)
        reason = reason or judge_inputs(candidate, self._evaluation.tree)
        return reason or judge_outputs(candidate, self._evaluation.tree, self.reaches)

    def would_do_the_same(self, candidate: Result, environment: Environment, cwd: bytes) -> bool:
        """Whether a step would do what it did, be it to fail. Then what it left lies there, what it removed does not.

        Its inputs are those that it began with: what other lines of its recipe made may have been made again since.
        """
        tree, disk = self._evaluation.tree, self._evaluation.disk
        reason = self._environments.judge(candidate, environment, cwd) or judge_inputs(candidate, tree)
        if reason is not None:
            return False
        for pid, _pre, post in candidate.outputs():
            if post == NO_VALUE and tree.on_disk(pid) and disk.remove(tree.tables.paths[pid], self._evaluation.places):
                tree.wrote(tree.tables.paths[pid])
            if tree.on_disk(pid) != post:
                return False
        return True

    def differences(self, candidate: Result, environment: Environment, cwd: bytes) -> Iterator[Reason]:
        """All that speaks against it, not only what comes first: what it would take to have this result again."""
        first = judge_kind(candidate) or self._judge_seeds(candidate)
        for reason in (first, self._environments.judge(candidate, environment, cwd)):
            if reason is not None:
                yield reason
        yield from input_differences(candidate, self._evaluation.tree)
        yield from output_differences(candidate, self._evaluation.tree, self.reaches)

    def _judge_seeds(self, candidate: Result) -> Reason | None:
        if not self._evaluation.recording.seeds or candidate.flags & COMPOSITE:
            return None  # nearly always: outputs need not be unpacked
        for pid, pre, post in candidate.outputs():
            seed = self._projector.seed(pid) if pre == NO_VALUE and pid in self._evaluation.tree.named else None
            if seed is not None and seed != post:
                return Reason("Seeded", self._evaluation.tree.tables.paths[pid])
        return None

    def reaches(self, pid: PathId, start: ValueId, end: ValueId) -> bool:
        """Whether known steps, none of them known to be stale already, lead from one version to the other."""
        if end == NO_VALUE and self.taken_away(pid):
            return False
        tree = self._evaluation.tree
        tables = tree.tables
        if (pid in tree.made_at or tree.state.get(pid, NO_VALUE) != NO_VALUE) and pid not in tree.ahead:
            # What lies there (or that nothing does) is what this step finds, and not what was made of its product: two
            # steps in turn may have made the one of the other (a second pass): then each version leads to the other.
            return False

        # Gone with the directory that it was in: that one is there again, so it has to come back as well.
        parent = tables.path_ids.get(dirname(tables.paths[pid]))
        returned = end == NO_VALUE and parent in tree.made_at and tree.state[parent] and parent not in tree.ahead

        def usable(rid: ResultId) -> bool:
            maker = self._evaluation.recording.result(rid)
            if returned and maker is not None and parent in maker.outs[0::3]:
                return False
            # What lies on this path itself is the chain's own affair, what this build makes will be judged in its turn.
            if maker is not None and (maker.flags & (UNSEEN | FAILED) or self._has_lost(maker, pid)):
                return False  # it will not be current: what it left leads nowhere
            return maker is None or all(
                tree.check(FactId(f))
                for f in maker.facts
                if tables.fact_path[f] != pid and tables.fact_path[f] not in tree.state
            )

        return self._evaluation.recording.reaches(pid, start, end, usable)

    def _has_lost(self, maker: Result, pid: PathId) -> bool:
        """Whether another product of this step than pid is gone, or was changed by nobody known."""
        if pid in self._led_on:
            return False
        self._led_on.add(pid)
        try:
            for out, _pre, post in maker.outputs():
                if out == pid or out in self._evaluation.tree.made_at:
                    continue
                here = self._evaluation.tree.on_disk(out)
                if here != post and not self.reaches(out, post, here):
                    return True
            return False
        finally:
            self._led_on.discard(pid)

    def taken_away(self, pid: PathId) -> bool:
        """Whether a path is gone because another goal (clean) removed it, not make itself nor a step of this goal."""
        last = self._evaluation.goal.complete.get(pid)
        if last is not None:
            return last[1] != NO_VALUE
        return pid in self.removed or (
            (pid, NO_VALUE) in self._evaluation.recording.makers
            and self._evaluation.recording.writers.get(pid) != self._evaluation.goal.key
        )
