"""The end of a step: from its account to a result that is remembered."""

from array import array

from hashmake.judge.account import Account
from hashmake.judge.composite import aggregate
from hashmake.judge.courses import Courses
from hashmake.judge.environments import Environments
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.intake import Intake
from hashmake.judge.log import Log
from hashmake.judge.projector import Projector
from hashmake.judge.reason import Reason
from hashmake.judge.restoring import Restoring
from hashmake.judge.running import Below, Running
from hashmake.judge.sharing import Sharing
from hashmake.judge.starting import Starter
from hashmake.judge.unsaved import Unsaved
from hashmake.judge.world import OpenTrace
from hashmake.model import letters
from hashmake.model.kinds import ABSENT
from hashmake.model.printed import NOTHING, Printed
from hashmake.model.result import COMPOSITE, FAILED, PLACED, QUERY, RECIPE, ROOT, SAYS, SHELL, UNSEEN, Result, ResultId
from hashmake.model.tables import NO_VALUE, FactId, PathId

# What a shell says of a child that a signal has ended: 128 and INT, QUIT, ILL, ABRT, BUS, FPE, KILL, SEGV, PIPE, ALRM,
# TERM, XCPU or XFSZ. Programs end with some of the others themselves: git with 128 outside of a repository, or 129.
_BY_SIGNAL = frozenset(128 + number for number in (2, 3, 4, 6, 7, 8, 9, 11, 13, 14, 15, 24, 25))


class Ending:
    """See the module's text. ran_now: results of steps that ran in this build."""

    def __init__(
        self,
        evaluation: Evaluation,
        intake: Intake,
        environments: Environments,
        projector: Projector,
        starter: Starter,
        unsaved: Unsaved,
        open_trace: OpenTrace,
        restoring: Restoring,
        sharing: Sharing,
        courses: Courses,
    ) -> None:
        self.sharing = sharing
        self.courses = courses
        self._restoring = restoring
        self.ran_now: set[ResultId] = set()
        self.log = Log(evaluation.recording, evaluation.goal)
        self._evaluation = evaluation
        self._intake = intake
        self._environments = environments
        self._projector = projector
        self._starter = starter
        self._unsaved = unsaved
        self._open_trace = open_trace

    def done(
        self, running: Running, code: int, wall_us: int, printed: Printed = NOTHING, truncated: bool = False
    ) -> Result:
        """A step ended: its result, remembered. `truncated`: it printed more than is kept."""
        account = running.account
        self._intake.at_end(running)
        running.trace.close()
        self._unsaved.trace(running.trace)
        del self._evaluation.running[running.number]
        tables = self._evaluation.tree.tables
        result = Result(running.key, running.kind, tables.path(running.cwd), running.argv)
        result.code = code & 255
        result.wall_us = min(wall_us, 0xFFFFFFFF)
        if not truncated:
            result.stdout, result.stderr, result.kept = printed.out, printed.err, printed.kept
        result.why = self._why_unseen(running, code, truncated)
        result.flags = (
            (UNSEEN if result.why else 0)
            | (FAILED if code and running.kind != SHELL else 0)
            | (PLACED if account.placed else 0)
        )
        self._project(running)
        looks: list[FactId] = []
        if account.make:
            self._unseen_products(running)
            looks = aggregate(result, running.events, account, self._evaluation.tree, self._evaluation.disk)
        else:
            result.facts = array("I", sorted(account.facts))
            for pid, (pre, post) in account.outs.items():
                result.outs.extend((pid, pre, post))
                if pre != post:
                    self._evaluation.recording.made_anew(pid, post)
                if tables.values[post][:1] == b"F":
                    self._evaluation.disk.restore_time(tables.paths[pid], tables.values[post])
            inside = filter(self._evaluation.lies_inside, sorted(account.wrote))
            temps = array("I", (tables.path(path) for path in inside))
            result.temps = array("I", (pid for pid in temps if pid not in account.outs))
        self._restoring.keep(running, result)
        if running.kind == ROOT:
            self._what_for(result, account)
        self._environments.learn(running, result)
        self.log.tell_changed(running, result)
        result = self._evaluation.recording.accept(result)
        self.ran_now.add(result.id)
        if account.make:
            self.courses.keep(running, result, looks)
        if running.line is not None:
            self._evaluation.line_made(running.line.recipe, result)
        self.sharing.add(result)
        self._unsaved.result(result)
        if running.parent is not None:
            asked = (running.argv, running.environment, running.line)
            running.parent.events.append(Below(result, result.outputs(), asked))
        self.log.add(running, result)
        return result

    def looked_too_soon(self, running: Running) -> list[PathId]:
        """What a step looked for in vain that other steps of this goal make, and have not made yet in this build."""
        if running.kind != RECIPE or running.account.make:
            return []
        tree, ids = self._evaluation.tree, self._evaluation.tree.tables.path_ids
        records = self._open_trace(running.number).so_far()
        own = {record[1:] for record in records if record[:1] == letters.WRITE}
        missed = {ids[r[1:]] for r in records if r[:1] == letters.ABSENT and r[1:] in ids and r[1:] not in own}
        return sorted(
            p
            for p in missed & self._evaluation.goal.products
            if p not in tree.made_at and tree.state.get(p) == NO_VALUE
        )

    def try_again(self, running: Running, code: int, wall_us: int, made: PathId) -> Running:
        """A step that failed for want of a file that is there now begins once more; what it left is removed."""
        above = running.parent
        failed = self.done(running, code, wall_us)
        self.log.take_back()
        paths = self._evaluation.tree.tables.paths
        if above is not None:
            event = above.events.pop()
            above.events.extend(event.writes if isinstance(event, Below) else [event])
        for pid, pre, post in failed.outputs():
            if pre == NO_VALUE and post and self._evaluation.disk.remove(paths[pid], self._evaluation.places):
                self._evaluation.tree.wrote(paths[pid])
                self._evaluation.tree.put(pid, post, NO_VALUE, wrote=True)
                if above is not None:
                    above.events.append((pid, post, NO_VALUE))
        again = self._starter.start(running.kind, running.key, running.cwd, running.argv, running.environment, above)
        again.reason = Reason("LookedTooSoon", paths[made])
        again.keeps, again.watched, again.line = running.keeps, running.watched, running.line
        again.retried = True
        return again

    def _why_unseen(self, running: Running, code: int, truncated: bool) -> bytes:
        """Why what is known of a step that ended is not all of it; empty when it is."""
        why = running.account.unseen or running.trace.lost or b""
        if running.kind == SHELL:
            if truncated:
                why = why or b"more output than is kept"
            if code in _BY_SIGNAL:
                why = why or b"it was killed"  # make takes no notice; what it got is not the answer
        elif self._evaluation.interrupted():
            # make removes the targets of what it interrupts; a step that ended well just then seems to have made none.
            why = why or b"the build was interrupted"
        return why

    def _what_for(self, root: Result, account: Account) -> None:
        """Whether a goal is asked for what it prints, or may be."""
        # A makefile that make remakes first (an included one) is not what was asked for.
        if not any(post and pid not in account.reread for pid, _pre, post in root.outputs()):
            root.flags |= QUERY
        kids = (self._evaluation.recording.result(ResultId(number)) for number in root.kids)
        if any(kid and kid.kind == RECIPE and not kid.outs and not kid.flags & COMPOSITE for kid in kids):
            root.flags |= SAYS

    def _project(self, running: Running) -> None:
        """Tables of names: begin them where the last build ended, and depend on names where that can be told."""
        if not running.account.make:
            for pid in self._projector.plant(running):
                self._evaluation.recording.product(
                    self._evaluation.goal, pid, *running.account.outs[pid], self._evaluation.tree.seq
                )
        self._projector.apply(running)

    def _unseen_products(self, running: Running) -> None:
        """Files that make missed at first and that are there now, though no step was seen to make them.

        A step that could not be followed made them: they are its products, and must not be taken for sources.
        """
        if not any(isinstance(e, Below) and e.result.flags & UNSEEN for e in running.events):
            return
        tree = self._evaluation.tree
        tables = tree.tables
        for fid in sorted(running.account.facts):
            pid = PathId(tables.fact_path[fid])
            if tables.fact_kind[fid] != ABSENT or pid in tree.state:
                continue
            tree.wrote(tables.paths[pid])
            version = tree.on_disk(pid)
            if version != NO_VALUE:
                tree.put(pid, NO_VALUE, version, wrote=True)
                running.events.append((pid, NO_VALUE, version))
                self._evaluation.recording.product(self._evaluation.goal, pid, NO_VALUE, version, tree.seq)
