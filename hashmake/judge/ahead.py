"""Versions ahead: a later version lies on the disk than the one that is due (docs/design.md, "Versions ahead")."""

from hashmake.judge.believed import Believed
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.reason import Reason
from hashmake.judge.restoring import Restoring
from hashmake.judge.running import Running
from hashmake.judge.starting import Starter
from hashmake.model.kinds import ABSENT, LIST
from hashmake.model.result import COMPOSITE, FAILED, UNSEEN, Result, ResultId
from hashmake.model.tables import NO_VALUE, PathId


class Ahead:
    """Has the step that makes the version that is due run once more."""

    def __init__(self, evaluation: Evaluation, believed: Believed, starter: Starter, restoring: Restoring) -> None:
        self._evaluation = evaluation
        self._restoring = restoring
        self._believed = believed
        self._starter = starter

    def bring_back(self, pid: PathId) -> Running | None:
        """Start the step that makes the version of pid that is due now; None: it is there, or that can't be done."""
        if pid in self._evaluation.tree.initial:
            self._evaluation.tree.ahead.discard(pid)  # a source that a step changes in place: there is no way back
            return None
        if self._restoring.bring_back(pid):
            return None
        version = self._evaluation.tree.state.get(pid, NO_VALUE)
        maker = self._evaluation.recording.result(self._evaluation.recording.makers.get((pid, version), ResultId(0)))
        if maker is None or not self._may_run_again(maker):
            self._evaluation.restart = True
            if maker is not None:
                self._evaluation.recording.drop_makers(maker, pid)
            return None
        asked = self._believed.asked.get(maker.id)
        if asked is None:
            # It lies in a sub-make that was skipped. Only what make asks for is started: next time make asks for it.
            self._forget_around(maker)
            self._evaluation.restart = True
            return None
        paths = self._evaluation.tree.tables.paths
        running = self._starter.start(maker.kind, maker.key, paths[maker.cwd], asked[0], asked[1], None)
        running.reason = Reason("OutputOverwritten", paths[pid])
        self._restoring.watch(running)
        for out, _pre, _post in maker.outputs():
            self._evaluation.tree.conceal(out)  # it starts from nothing again, and must not wait for itself
            running.account.anew.add(out)
        return running

    def came_with(self, pid: PathId) -> list[PathId]:
        """What lay in a directory that a later step had moved away, and is due again with it: the outermost first."""
        paths = self._evaluation.tree.tables.paths
        prefix = paths[pid] + b"/"
        return sorted(
            (p for p in self._evaluation.tree.ahead if paths[p].startswith(prefix)), key=lambda p: len(paths[p])
        )

    def given(self, number: int, pid: PathId) -> None:
        """A running step opens pid now: where the version that is due could not be brought back, it is not believed."""
        tree = self._evaluation.tree
        running = self._evaluation.running.get(number)
        if running is not None and pid not in tree.initial and tree.on_disk(pid) != tree.state.get(pid):
            running.account.unseen = b"it was given a later version of " + tree.tables.paths[pid]

    def _forget_around(self, maker: Result) -> None:
        """Drop the records of skipped sub-makes that contain this step, so that another evaluation goes into them."""
        for skipped in self._believed.makes:
            for make in self._evaluation.recording.makes_around(skipped, maker, set()):
                self._evaluation.recording.drop(make)

    def _may_run_again(self, maker: Result) -> bool:
        """Whether running it now leaves every path that it writes in the version that is due."""
        if maker.flags & (COMPOSITE | UNSEEN | FAILED):
            return False
        tree = self._evaluation.tree
        own = set(maker.outs[0::3])
        if not all(not pre and tree.state.get(pid) == post for pid, pre, post in maker.outputs()):
            return False
        # What it read may have been taken away since: then it would fail now, and say so.
        kinds, paths = tree.tables.fact_kind, tree.tables.fact_path
        return not any(
            tree.state.get(PathId(paths[f])) == NO_VALUE and kinds[f] not in (ABSENT, LIST) and paths[f] not in own
            for f in maker.facts
        )
