"""The engine: answers each step make asks for, and turns what ran into results. Knows no sockets.

While make evaluates, the tree holds what a clean build would have at this moment; a step that is current moves the tree
on without running; one that ran moves it on by what its trace says.
"""

from collections.abc import Callable
from typing import NamedTuple

from hashmake.judge.ahead import Ahead
from hashmake.judge.believed import Believed
from hashmake.judge.courses import Courses
from hashmake.judge.ending import Ending
from hashmake.judge.environments import Environments
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.intake import Intake
from hashmake.judge.judging import Judge
from hashmake.judge.lookups import Lookups
from hashmake.judge.projector import Projector, Table
from hashmake.judge.reason import FORCED, NEVER_RAN, PRINTS, Reason
from hashmake.judge.recipes import Recipes
from hashmake.judge.restoring import Restoring
from hashmake.judge.running import Below, Line, Pending, Restored, Running, Write
from hashmake.judge.sharing import Sharing
from hashmake.judge.starting import Starter
from hashmake.judge.unsaved import Unsaved
from hashmake.judge.world import OpenTrace, Remote, Store
from hashmake.model.environment import Environment
from hashmake.model.identity import key_of
from hashmake.model.kinds import ABSENT, READ
from hashmake.model.plugin import Projection
from hashmake.model.result import COMPOSITE, RECIPE, Result, ResultId
from hashmake.model.roots import Roots
from hashmake.model.tables import NO_VALUE, PathId


class _Asked(NamedTuple):
    """A step as make asks for it; `captured`: what somebody reads of what it prints (model/printed.py)."""

    argv: list[bytes]
    environment: Environment
    cwd: bytes
    above: Running | None
    captured: int
    line: Line | None


class Engine:
    """One build of one goal over one recording: asks its parts in turn.

    forced     -B: nothing is current
    again      keys of steps that are not current, whatever their records say
    prints     this goal makes no files: steps that make none run for what they print
    failed     results of steps that failed in this build already, and have printed what they have to say
    altered    products that somebody changed by hand
    mine       paths that are a person's: a step that makes nothing else is not run
    """

    def __init__(
        self,
        evaluation: Evaluation,
        open_trace: OpenTrace,
        own_directory: bytes,
        tables: list[tuple[bytes, Projection]],
        library: bytes,
        on_step: Callable[[Running], None],
        store: Store | None = None,
        roots: Roots | None = None,
        sealed: "Callable[[bytes], bytes] | None" = None,
        remote: Remote | None = None,
    ) -> None:
        """`own_directory`: where the state is; `library`: the interposer, as LD_PRELOAD names it.

        roots  of the tree, for which other trees may have run the same steps; None: nobody asks them
        remote  other machines that share results; None: there are none
        sealed  what shows that this user's hashmake has heard make say a text; None: nobody could tell
        """
        self.evaluation = evaluation
        self.forced = False
        self.again: frozenset[bytes] = frozenset()
        self.failed: set[ResultId] = set()
        self.prints = False
        self.altered: set[PathId] = set()
        self.mine: frozenset[PathId] = frozenset()
        recording, tree, disk = evaluation.recording, evaluation.tree, evaluation.disk
        lookups = Lookups(tree, disk)
        self._projector = Projector(recording, tree, disk, [Table(path, p, disk) for path, p in tables])
        self._believed = Believed()
        self.environments = Environments(evaluation, lookups, library)
        self.judging = Judge(evaluation, self.environments, self._projector)
        self.intake = Intake(evaluation, own_directory, open_trace)
        self.starter = Starter(evaluation, open_trace, on_step)
        self._recipes = Recipes(evaluation, self._believed, self.starter)
        self.restoring = Restoring(evaluation, store)
        self.sharing = Sharing(evaluation, store, roots, self.environments.of, remote)
        self.ahead = Ahead(evaluation, self._believed, self.starter, self.restoring)
        self.unsaved = Unsaved(evaluation)
        self.courses = Courses(evaluation, sealed)
        self.ending = Ending(
            evaluation,
            self.intake,
            self.environments,
            self._projector,
            self.starter,
            self.unsaved,
            open_trace,
            self.restoring,
            self.sharing,
            self.courses,
        )

    def ask(
        self, kind: bytes, parent: int, cwd: bytes, argv: list[bytes], block: bytes, line: Line | None = None
    ) -> Result | Restored | Running | Pending:
        """A step that is current (its result), or is restored, or has to run now.

        Or that is not known yet: it is to be asked for again when something has arrived.
        """
        if line is not None and not line.later:
            self._recipes.begin(line)
        answer = self._answer(kind, parent, cwd, argv, block, line)
        if line is None:
            return answer
        if isinstance(answer, Running):
            answer.line = line
        elif not isinstance(answer, Pending):
            self.evaluation.line_made(line.recipe, answer.result if isinstance(answer, Restored) else answer)
        return answer

    def _answer(
        self, kind: bytes, parent: int, cwd: bytes, argv: list[bytes], block: bytes, line: Line | None
    ) -> Result | Restored | Running | Pending:
        above = self.evaluation.running.get(parent)
        if above is not None:
            self.intake.take_in(above)
        captured = self.read_of(parent) if kind == RECIPE else 0
        environment = self.environments.of(block)
        key = key_of(kind, cwd, self.evaluation.plugin.normal_argv(argv))
        forced = self.forced or key in self.again
        reason: Reason | None = FORCED if forced else None
        latest: Result | None = None
        asked = _Asked(argv, environment, cwd, above, captured, line)
        for candidate in self.evaluation.recording.candidates(key):
            latest = latest or candidate
            if candidate.outs and self.mine.issuperset(candidate.outs[0::3]):
                self.courses.incomplete = True
                return candidate
            self._take_over(candidate)
            if forced:
                break
            answer = self._believe(candidate, latest, asked)
            if not isinstance(answer, Reason):
                return answer
            reason = reason or answer
        shared = self._elsewhere(kind, key, latest, asked) if not forced else None
        if shared is not None:
            return shared
        running = self.starter.start(kind, key, cwd, argv, environment, above, latest)
        running.reason = reason or NEVER_RAN
        running.last = latest
        running.keeps = captured
        self.restoring.watch(running)
        if latest is not None:
            self._clear(latest, frozenset())
        if line is not None:
            running.first = self._recipes.runs(line)
        return running

    def _elsewhere(
        self, kind: bytes, key: bytes, latest: Result | None, asked: _Asked
    ) -> Result | Restored | Pending | None:
        """What another tree of this machine has run, or another machine, and this tree need not."""
        found = self._of_another_tree(kind, key, latest, asked)
        if found is not None:
            self.sharing.pass_on(found.result if isinstance(found, Restored) else found)
            return found
        afar = self.sharing.ask_afar(kind, asked.cwd, asked.argv, asked.environment)
        if isinstance(afar, Pending):
            return afar
        return self._of_another_tree(kind, key, latest, asked) if afar else None

    def _of_another_tree(
        self, kind: bytes, key: bytes, latest: Result | None, asked: _Asked
    ) -> Result | Restored | None:
        """What another tree has run and this one need not."""
        recording = self.evaluation.recording
        for found in self.sharing.find(kind, key, asked.cwd, asked.argv, asked.environment):
            if self.environments.judge(found, asked.environment, asked.cwd) is not None:
                continue
            found.full_env = recording.env_blocks.number(asked.environment.block)  # it would have run alike in this one
            if kind == RECIPE and not found.outs and not self._recipes.is_needless(found, asked.line):
                continue
            candidate = recording.accept(found)
            self._take_over(candidate)
            answer = self._believe(candidate, latest, asked)
            if not isinstance(answer, Reason):
                return answer
            recording.drop(candidate)
        return None

    def _believe(self, candidate: Result, latest: Result | None, asked: _Asked) -> Result | Restored | Reason:
        """A record that fits: its step is current, or restored; else why it has to run."""
        line, captured = asked.line, asked.captured
        if candidate.id in self.failed and self.judging.would_do_the_same(candidate, asked.environment, asked.cwd):
            self.failed.discard(candidate.id)
            self._skip(candidate, asked)
            return candidate
        stale = self.judging.judge(candidate, asked.environment, asked.cwd) or self._prints(candidate, captured, line)
        if stale is not None:
            if not self._restore(candidate, latest, stale, asked):
                return stale
            self._believed.add(candidate, asked.argv, asked.environment)
            return Restored(candidate, self._recipes.runs(line) if line is not None else [])
        self._believed.add(candidate, asked.argv, asked.environment)
        self._skip(candidate, asked)
        if line is not None and not captured:
            self._recipes.skipped(line, candidate, asked.environment)
        return candidate

    def read_of(self, parent: int) -> int:
        """What somebody reads of what the make in this step prints (model/printed.py): it goes elsewhere than ours."""
        above = self.evaluation.running.get(parent)
        return above.captured if above is not None else 0

    def _prints(self, candidate: Result, captured: int, line: Line | None) -> Reason | None:
        """Why a current step has to run all the same: for what it prints, or for the other lines of its recipe."""
        joins = line is not None and self._recipes.joins(candidate, line)
        return PRINTS if joins or self._has_to_print(candidate, captured, line) else None

    def _has_to_print(self, candidate: Result, captured: int, line: Line | None) -> bool:
        """Whether a current step has to run for what it prints: nobody else can say that in its place."""
        if candidate.kind != RECIPE:
            return False
        if captured:
            return candidate.kept & captured != captured
        # A clean build that runs a command twice is a build that runs it twice (design.md, rule 24).
        again = self.prints or candidate.id in self.ending.ran_now
        return again and not candidate.outs and not self._recipes.is_needless(candidate, line)

    def _take_over(self, candidate: Result) -> None:
        """What another goal's build of this step made from nothing is not there before this goal has asked for it."""
        tree = self.evaluation.tree
        for pid, pre, post in candidate.outputs() if tree.foreign or tree.uncovered else ():
            here = tree.foreign.get(pid)
            if pre == NO_VALUE and pid in tree.uncovered and not candidate.flags & COMPOSITE:
                tree.cover(pid)  # a sub-make sees what lies in it until its own step asks
            elif (
                here is not None
                and pre == NO_VALUE
                and (here == post or self.evaluation.recording.reaches(pid, post, here))
            ):
                if pid in self.altered and self._guards(candidate, pid):
                    continue
                del tree.foreign[pid]
                if self._read_by_make(pid):
                    # The makefile that make began with: were it hidden, there would be nothing to begin the next build.
                    self.evaluation.recording.product(
                        self.evaluation.goal, pid, here, here, self.evaluation.recording.products[pid][1]
                    )
                    tree.begin_with(pid, here)
                    continue
                if self.judging.taken_away(pid):
                    self.judging.removed.add(pid)  # by the other goal, whose product it was until now
                self.evaluation.recording.product(
                    self.evaluation.goal, pid, NO_VALUE, here, self.evaluation.recording.products[pid][1]
                )
                tree.hide(pid)
                tree.conceal(pid)

    def _guards(self, candidate: Result, pid: PathId) -> bool:
        """Whether a step makes a path only where there is none, and make does not know it: `[ -f it ] || cp sample it`.

        Then what a person wrote there is the person's, as it is to the step.
        """
        tables = self.evaluation.tree.tables
        if not any(tables.fact_path[f] == pid and tables.fact_kind[f] == ABSENT for f in candidate.facts):
            return False
        return not any(pid in r.account.looks for r in self.evaluation.running.values() if r.account.make)

    def _read_by_make(self, pid: PathId) -> bool:
        """Whether a make process that is at work has read this path, and found something."""
        tables = self.evaluation.tree.tables
        read = {f for f in tables.facts_on.get(pid, ()) if tables.fact_kind[f] == READ}
        return any(r.account.make and not read.isdisjoint(r.account.facts) for r in self.evaluation.running.values())

    def _skip(self, result: Result, asked: _Asked) -> None:
        tree = self.evaluation.tree
        writes = []
        for pid, pre, post in result.outputs():
            if pre == NO_VALUE and pid in tree.uncovered:
                tree.cover(pid)  # a step below makes it, also next time
            found = tree.state.get(pid)
            if found is None:
                found = tree.on_disk(pid)  # another goal made it, or it was always there
            writes.append((pid, found, post))
            tree.put(pid, found, post, False)
            # For other goals: made just now, as a clean build of this goal would have; in the order of this build.
            self.evaluation.recording.product(self.evaluation.goal, pid, found, post, tree.seq)
        self._told(result, writes, asked)
        self.ending.log.counts.skipped += result.steps

    def _told(self, result: Result, writes: list[Write], asked: _Asked) -> None:
        """The step above has a step below it that did not run."""
        if asked.above is not None:
            asked.above.account.facts.update(self.environments.passed(result, asked.environment))
            asked.above.events.append(Below(result, writes, (asked.argv, asked.environment, asked.line)))

    def _restore(self, candidate: Result, latest: Result | None, stale: Reason, asked: _Asked) -> bool:
        """Put what the step once left where it was, if that is all that is missing; whether it could be done."""
        fetched = self.restoring.fetch(candidate, stale.kind, asked.captured)
        if fetched is None:
            return False
        if latest is not None and latest is not candidate:
            self._clear(latest, frozenset(candidate.outs[0::3]))
        writes = self.restoring.place(candidate, fetched)
        if writes is None:
            return False
        self._told(candidate, writes, asked)
        self.ending.log.counts.restored += 1
        return True

    def _clear(self, result: Result, but: frozenset[int]) -> None:
        """Remove what an earlier run of this step left and this build has not made: as in a clean tree.

        `but`: paths that stay. Of a composite: what it wrote itself. The steps below it will be asked for.
        """
        tree = self.evaluation.tree
        below: set[PathId] = set()
        for number in result.kids:
            kid = self.evaluation.recording.result(ResultId(number))
            if kid is not None:
                below.update(pid for pid, _pre, _post in kid.outputs())
        for pid, _pre, post in result.outputs():
            if tree.state.get(pid) != NO_VALUE or not post or pid in below or pid in but:
                continue
            path = tree.tables.paths[pid]
            if self.evaluation.disk.remove(path, self.evaluation.places):
                tree.wrote(path)

    def no_rule(self, path: bytes) -> None:
        """Make has no rule for a hidden file: a product that became a source. It evaluates once more, with the file."""
        tree = self.evaluation.tree
        pid = tree.tables.path_ids.get(path)
        if (
            pid is None
            or pid not in self.evaluation.goal.products
            or tree.state.get(pid) != NO_VALUE
            or pid in tree.made_at
        ):
            return  # a step of this build has taken it away: then make is right
        version = tree.on_disk(pid)
        if version != NO_VALUE:
            self.evaluation.recording.becomes_source(pid, version, tree.seq)
            self.evaluation.roles += 1
            self.evaluation.restart = True
            self.evaluation.give_up()

    def conclude(self, root: Running) -> None:
        """Make ended well: stamps that a clean build would not have go, tables of names begin the next build as now."""
        stamps = self._projector.conclude()
        if stamps is None:
            return
        for pid, pre in list(self.evaluation.tree.state.items()):
            path = self.evaluation.tree.tables.paths[pid]
            gone = pre != NO_VALUE and path not in stamps and self.evaluation.plugin.only_a_stamp(path)
            if gone and self.evaluation.disk.remove(path, self.evaluation.places):
                self.evaluation.tree.wrote(path)
                self.evaluation.tree.put(pid, pre, NO_VALUE, wrote=True)
                self.evaluation.recording.product(self.evaluation.goal, pid, pre, NO_VALUE, self.evaluation.tree.seq)
                root.events.append((pid, pre, NO_VALUE))
