"""The engine: answers each step make asks for, and turns what ran into results. Knows no sockets.

While make evaluates, the tree holds what a clean build would have at this moment; a step that is current moves the tree
on without running; one that ran moves it on by what its trace says.
"""

import os
import stat
import time
from array import array
from collections.abc import Callable

from hashmake import step as steps
from hashmake import trace
from hashmake.account import Account, Accountant
from hashmake.aggregate import aggregate
from hashmake.disk import Disk
from hashmake.plan import FORCED, NEVER_RAN, Reason, judge_inputs, judge_kind, judge_outputs
from hashmake.plugin import Plugin
from hashmake.recording import Goal, Recording
from hashmake.result import COMPOSITE, FAILED, RECIPE, ROOT, SHELL, UNSEEN, Result, ResultId
from hashmake.running import Below, Running
from hashmake.tables import ABSENT, NEVER, NO_VALUE, READ, FactId, PathId, ValueId
from hashmake.trace import TraceFile
from hashmake.tree import Tree


class Counts:
    """How many steps ran, were skipped, failed; how many make processes were evaluated.

    A composite is a step as well if it wrote files itself.
    """

    def __init__(self) -> None:
        self.run = self.skipped = self.failed = self.evaluated = 0


class Ran:
    """One line of the log: a step that ran."""

    __slots__ = ("argv", "code", "cwd", "kind", "outputs", "reason", "wall_us")

    def __init__(self, running: Running, result: Result, outputs: list[bytes]) -> None:
        self.cwd = running.cwd
        self.argv = running.argv
        self.kind = running.kind
        self.reason = running.reason or NEVER_RAN
        self.outputs = outputs
        self.wall_us = result.wall_us
        self.code = result.code


class Engine:
    """One build of one goal over one recording.

    forced     -B: nothing is current
    prints     this goal makes no files: steps that make none run for what they print
    restart    something was found that only another evaluation can put right
    began      the tree's moment before the first step
    """

    def __init__(
        self,
        recording: Recording,
        goal: Goal,
        tree: Tree,
        disk: Disk,
        plugin: Plugin,
        run_dir: bytes,
        own_directory: bytes,
        library: bytes,
        on_step: Callable[[Running], None],
    ) -> None:
        self.recording = recording
        self.goal = goal
        self.tree = tree
        self.disk = disk
        self.forced = False
        self.prints = False
        self.counts = Counts()
        self.ran: list[Ran] = []
        self.running: dict[int, Running] = {}
        self.restart = False
        self.began = tree.seq
        self._plugin = plugin
        self._run_dir = run_dir
        self._library = library
        self._on_step = on_step
        self._accountant = Accountant(tree, disk, own_directory, self._in_flight)
        self._environments: dict[bytes, steps.Environment] = {}
        self._env_holds: dict[tuple[int, int, bytes], bytes | None] = {}
        self._unsaved: list[Result] = []
        self._number = 0

    # -- asking ---------------------------------------------------------------------------------------------------

    def environment(self, block: bytes) -> steps.Environment:
        """The environment of this NUL-joined block, parsed once."""
        found = self._environments.get(block)
        if found is None:
            found = steps.Environment(
                len(self._environments), block.split(b"\0"), self._library, self._plugin.meaningless
            )
            self._environments[block] = found
        return found

    def ask(self, kind: bytes, parent: int, cwd: bytes, argv: list[bytes], block: bytes) -> Result | Running:
        """A step that is current (its result), or one that has to run now."""
        above = self.running.get(parent)
        if above is not None:
            self.take_in(above)
        environment = self.environment(block)
        key = steps.key_of(kind, cwd, self._plugin.normal_argv(argv))
        reason: Reason | None = FORCED if self.forced else None
        latest: Result | None = None
        for candidate in self.recording.candidates(key):
            latest = latest or candidate
            if self.forced:
                break
            stale = self._judge(candidate, environment, cwd)
            if stale is None:
                self._skip(candidate, above)
                return candidate
            reason = reason or stale
        running = self.start(kind, key, cwd, argv, environment, above)
        running.reason = reason or NEVER_RAN
        if latest is not None and not latest.flags & COMPOSITE:
            self._clear(latest)
        return running

    def start(
        self,
        kind: bytes,
        key: bytes,
        cwd: bytes,
        argv: list[bytes],
        environment: steps.Environment,
        above: Running | None,
    ) -> Running:
        """A new running step."""
        self._number += 1
        path = self._run_dir + b"/t/%d" % self._number
        account = Account(self.tree.seq, time.time_ns())
        running = Running(self._number, key, kind, cwd, argv, environment, above, account, TraceFile(path))
        self.running[self._number] = running
        self._on_step(running)
        return running

    def _judge(self, candidate: Result, environment: steps.Environment, cwd: bytes) -> Reason | None:
        reason = judge_kind(candidate) or self._judge_environment(candidate, environment, cwd)
        reason = reason or judge_inputs(candidate, self.tree)
        reason = reason or judge_outputs(candidate, self.tree, self._reaches)
        if reason is None and self.prints and candidate.kind == RECIPE and not candidate.outs:
            return Reason("Prints")
        return reason

    def _judge_environment(self, candidate: Result, environment: steps.Environment, cwd: bytes) -> Reason | None:
        if not candidate.env:
            return None
        memo = (candidate.env, environment.id, cwd)
        facts = self.recording.env_sets.all[candidate.env]
        if memo not in self._env_holds:
            self._env_holds[memo] = environment.difference(facts, cwd)
        name = self._env_holds[memo]
        if name is None:
            return None
        old = next((f[len(name) + 1 :] for f in facts.split(b"\0") if f.startswith(name + b"=")), b"")
        if name == steps.WHOLE:
            old = b""
        return Reason("VariableChanged", name, old, environment.variables.get(name, b""))

    def _reaches(self, pid: PathId, start: ValueId, end: ValueId) -> bool:
        """Whether known steps, none of them known to be stale already, lead from one version to the other."""
        last = self.goal.complete.get(pid)
        if last is not None and last[1] != end:
            return False  # not how a build of this goal ends: another goal (clean) went on from there
        recording, tree = self.recording, self.tree
        tables = tree.tables
        seen = {start}
        todo = [start]
        while todo:
            version = todo.pop()
            for after in recording.links.get((pid, version), ()):
                if after in seen:
                    continue
                maker = recording.result(recording.makers.get((pid, after), ResultId(0)))
                if maker is not None and any(
                    not tree.check(FactId(f)) for f in maker.facts if tables.fact_path[f] not in tree.state
                ):
                    continue
                if after == end:
                    return True
                seen.add(after)
                todo.append(after)
        return False

    def _skip(self, result: Result, above: Running | None) -> None:
        tree = self.tree
        writes = []
        for pid, _pre, post in result.outputs():
            found = tree.state.get(pid)
            if found is None:
                found = tree.on_disk(pid)  # another goal made it, or it was always there
            writes.append((pid, found, post))
            tree.put(pid, found, post, False)
            # For other goals: made just now, as a clean build of this goal would have; in the order of this build.
            self.recording.product(self.goal, pid, found, post, tree.seq)
        if above is not None:
            above.events.append(Below(result, writes))
        self.counts.skipped += result.steps

    def _clear(self, result: Result) -> None:
        """Remove what an earlier run of this step left and this build has not made: as in a clean tree."""
        tree = self.tree
        for pid, _pre, post in result.outputs():
            if tree.state.get(pid) != NO_VALUE or not post:
                continue
            path = tree.tables.paths[pid]
            try:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    os.unlink(path)
            except OSError:
                continue
            tree.wrote(path)

    # -- while it runs --------------------------------------------------------------------------------------------

    def take_in(self, running: Running) -> None:
        """What a step that contains make has done by now (its other steps are taken in when they end)."""
        if running.account.make:
            self._absorb(running, running.trace.records(final=False))

    def make_started(self, number: int) -> None:
        """A make process came up in a step: all that the step wrote must be known before it evaluates."""
        running = self.running.get(number)
        if running is not None:
            if not running.account.make:
                running.account.make = True
                running.account.names.add(steps.WHOLE)
            self.take_in(running)

    def _absorb(self, running: Running, records: list[bytes]) -> None:
        account = running.account
        self._accountant.absorb(account, records, running.environment.variables)
        if account.fresh:
            if account.make:
                running.events.extend(account.fresh)
            self._mark_products(account)
            account.fresh = []

    def _mark_products(self, account: Account) -> None:
        for pid, found, post in account.fresh:
            self.recording.product(self.goal, pid, found, post, self.tree.made_at.get(pid, self.tree.seq))

    def _in_flight(self, account: Account) -> set[bytes]:
        """Paths that plain steps now running beside this one have written so far."""
        paths: set[bytes] = set()
        for other in self.running.values():
            if other.account is not account and not other.account.make:
                for record in TraceFile(other.trace.path).records(final=False):
                    if record[:1] in (trace.WRITE, trace.MOVEDIR_TO):
                        paths.add(record[1:])
        return paths

    # -- the end of a step ----------------------------------------------------------------------------------------

    def done(self, running: Running, code: int, wall_us: int, stdout: bytes, truncated: bool) -> Result:
        """A step ended: its result, remembered."""
        account = running.account
        self._absorb(running, running.trace.records(final=True))
        running.trace.close()
        del self.running[running.number]
        tables = self.tree.tables
        result = Result(running.key, running.kind, tables.path(running.cwd), running.argv)
        result.code = code & 255
        result.wall_us = min(wall_us, 0xFFFFFFFF)
        result.stdout = stdout
        why = account.unseen or running.trace.lost or (b"more output than is kept" if truncated else b"")
        if why:
            result.flags |= UNSEEN
            result.why = why
        if code and running.kind != SHELL:
            result.flags |= FAILED
        if account.make:
            self.settle()  # what a step below learns too late must not be missing from the whole
            self._unseen_products(running)
            aggregate(result, running.events, account, self.tree, self.disk)
        else:
            result.facts = array("I", sorted(account.facts))
            for pid, (pre, post) in account.outs.items():
                result.outs.extend((pid, pre, post))
                if tables.values[post][:1] == b"F":
                    self.disk.restore_time(tables.paths[pid], tables.values[post])
        self._environment_facts(running, result)
        result = self.recording.accept(result)
        self._unsaved.append(result)
        if running.parent is not None:
            running.parent.events.append(Below(result, result.outputs()))
        self._log(running, result)
        return result

    def _unseen_products(self, running: Running) -> None:
        """Files that make missed at first and that are there now, though no step was seen to make them.

        A step that could not be followed made them: they are its products, and must not be taken for sources.
        """
        if not any(isinstance(e, Below) and e.result.flags & UNSEEN for e in running.events):
            return
        tree = self.tree
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
                self.recording.product(self.goal, pid, NO_VALUE, version, tree.seq)

    def _environment_facts(self, running: Running, result: Result) -> None:
        environment, account = running.environment, running.account
        names = account.names
        if running.kind != ROOT:
            if account.shell:
                names.add(b"PATH")
            names.add(b"LD_LIBRARY_PATH")
            result.env = self.recording.env_sets.number(environment.facts(names, running.cwd))
        result.full_env = self.recording.env_blocks.number(environment.block)

    def _log(self, running: Running, result: Result) -> None:
        if result.flags & COMPOSITE:
            self.counts.evaluated += 1
            if running.kind == ROOT or not running.wrote_itself():
                return  # nothing but a make; what it started has lines of its own
        self.counts.run += 1
        if result.flags & FAILED:
            self.counts.failed += 1
        paths = self.tree.tables.paths
        outputs = [paths[pid] for pid, _pre, post in result.outputs() if post]
        if running.reason is NEVER_RAN:
            running.reason = self._why_never_ran(result)
        self.ran.append(Ran(running, result, outputs))

    def _why_never_ran(self, result: Result) -> Reason:
        """A new command that makes what another command made before: the command changed."""
        for pid, _pre, _post in result.outputs():
            known = self.recording.products.get(pid)
            maker = self.recording.makers.get((pid, known[0])) if known else None
            old = self.recording.result(maker) if maker and maker != result.id else None
            if old is not None and old.key != result.key:
                return Reason("CommandChanged", b"", b" ".join(old.argv[1:]), b" ".join(result.argv[1:]))
        return NEVER_RAN

    # -- versions ahead -------------------------------------------------------------------------------------------

    def bring_back(self, pid: PathId) -> Running | None:
        """Start the step that makes the version of pid that is due now; None if that can't be done."""
        if pid in self.tree.initial:
            self.tree.ahead.discard(pid)  # a source that a step changes in place: there is no way back
            return None
        version = self.tree.state.get(pid, NO_VALUE)
        maker = self.recording.result(self.recording.makers.get((pid, version), ResultId(0)))
        if maker is None or not self._may_run_again(maker):
            self.restart = True
            if maker is not None:
                self.recording.drop(maker)
            return None
        paths = self.tree.tables.paths
        environment = self.environment(self.recording.env_blocks.all[maker.full_env])
        running = self.start(maker.kind, maker.key, paths[maker.cwd], maker.argv, environment, None)
        running.reason = Reason("OutputOverwritten", paths[pid])
        for out, _pre, _post in maker.outputs():
            self.tree.conceal(out)  # it starts from nothing again, and must not wait for itself
        return running

    def _may_run_again(self, maker: Result) -> bool:
        """Whether running it now leaves every path that it writes in the version that is due."""
        if maker.flags & (COMPOSITE | UNSEEN | FAILED):
            return False
        state = self.tree.state
        return all(not pre and state.get(pid) == post for pid, pre, post in maker.outputs())

    # -- saving ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Before results are saved: a source that changed after it was hashed makes its readers stale."""
        tables, tree = self.tree.tables, self.tree
        facts: set[int] = set()
        for result in self._unsaved:
            facts.update(result.facts)
        read = {tables.fact_path[f] for f in facts if tables.fact_kind[f] == READ}
        changed = {p for p in read if p not in tree.state and not self.disk.still_same(tables.paths[p])}
        if changed:
            for result in self._unsaved:
                hit = changed.intersection(tables.fact_path[f] for f in result.facts if tables.fact_kind[f] == READ)
                never = (tables.fact(NEVER, PathId(pid), NO_VALUE) for pid in hit)
                result.facts = array("I", sorted({*result.facts, *never}))
            for pid in changed:
                tree.wrote(tables.paths[pid])
        self._unsaved = []
