"""The engine: answers each step make asks for, and turns what ran into results. Knows no sockets.

While make evaluates, the tree holds what a clean build would have at this moment; a step that is current moves the tree
on without running; one that ran moves it on by what its trace says.
"""

import time
from array import array
from collections.abc import Callable
from posixpath import dirname

from hashmake.disk.disk import Disk
from hashmake.judge.account import Account, Accountant
from hashmake.judge.composite import aggregate
from hashmake.judge.lookups import Lookups
from hashmake.judge.nameable import MakeNames
from hashmake.judge.projector import Projector, Table
from hashmake.judge.running import Below, Line, Running
from hashmake.judge.tree import Tree
from hashmake.judge.verdict import FORCED, NEVER_RAN, PRINTS, Reason, judge_inputs, judge_kind, judge_outputs
from hashmake.model import letters, shelltext, variables
from hashmake.model.environment import Environment, searchable
from hashmake.model.goal import Goal
from hashmake.model.identity import key_of
from hashmake.model.kinds import ABSENT, CONTENT, LIST, NEVER, READ
from hashmake.model.names import EVERY, Names, pack
from hashmake.model.plugin import Plugin, Projection
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, FAILED, KEPT, QUERY, RECIPE, ROOT, SAYS, SHELL, UNSEEN, Result, ResultId
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId
from hashmake.run.trace import TraceFile

EVERY_NAME: Names = frozenset({EVERY})


class Counts:
    """How many steps ran, were skipped, failed; how many make processes were evaluated.

    A composite is a step as well if it wrote files itself.
    """

    def __init__(self) -> None:
        self.run = self.skipped = self.failed = self.evaluated = 0


class Ran:
    """One line of the log: a step that ran."""

    __slots__ = ("argv", "code", "cpu_us", "cwd", "kind", "outputs", "peak_kb", "reason", "started", "wall_us")

    def __init__(self, running: Running, result: Result, outputs: list[bytes]) -> None:
        self.cwd = running.cwd
        self.argv = running.argv
        self.kind = running.kind
        self.reason = running.reason or NEVER_RAN
        self.outputs = outputs
        self.wall_us = result.wall_us
        self.started, self.cpu_us, self.peak_kb = running.started, running.cpu_us, running.peak_kb
        self.code = result.code


class Engine:
    """One build of one goal over one recording.

    forced     -B: nothing is current
    again      keys of steps that are not current, whatever their records say
    places     directories below which an earlier run's leftovers may be removed
    prints     this goal makes no files: steps that make none run for what they print
    interrupted  whether make has been told to end
    restart    something was found that only another evaluation can put right
    library    the interposer, as LD_PRELOAD names it
    roles      how many products turned out to be sources; give_up: tells all processes that another evaluation comes
    root_names names of the variables that the goal's makes and steps can name, once it has ended
    began      the tree's moment before the first step
    altered    products that somebody changed by hand
    mine       paths that are a person's: a step that makes nothing else is not run
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
        places: tuple[bytes, ...],
        tables: list[tuple[bytes, Projection]],
        library: bytes,
        on_step: Callable[[Running], None],
    ) -> None:
        self.recording = recording
        self.goal = goal
        self.tree = tree
        self.disk = disk
        self.forced = False
        self.again: frozenset[bytes] = frozenset()
        self.places = places
        self.prints = False
        self.counts = Counts()
        self.ran: list[Ran] = []
        self.running: dict[int, Running] = {}
        self.restart = False
        self.roles = 0
        self.root_names: Names = EVERY_NAME
        self.give_up: Callable[[], None] = lambda: None
        self.altered: set[PathId] = set()
        self.mine: frozenset[PathId] = frozenset()
        self.interrupted: Callable[[], bool] = lambda: False
        self.began = tree.seq
        self._plugin = plugin
        self._run_dir = run_dir
        self.library = library
        self._on_step = on_step
        self._accountant = Accountant(tree, disk, own_directory, self._in_flight)
        self._projector = Projector(recording, tree, disk, [Table(path, p, disk) for path, p in tables])
        self._environments: dict[bytes, Environment] = {}
        self._lookups = Lookups(tree)
        self._names = MakeNames(recording, tree, disk)
        self._env_holds: dict[tuple[int, int, bytes], bytes | None] = {}
        self._unsaved: list[Result] = []
        # What make itself asked for in this build, and for which a record was believed: a command is run again only in
        # these words and with this environment, never in those of a record.
        self._asked: dict[ResultId, tuple[list[bytes], Environment]] = {}
        self._skipped_makes: list[Result] = []
        self._ran_now: set[ResultId] = set()
        # Recipes that are being gone through: their lines that only print, as yet skipped; those of which a line ran.
        self._quiet: dict[tuple[int, int], list[tuple[Result, Environment, bytes]]] = {}
        self._at_work: set[tuple[int, int]] = set()
        self._led_on: set[PathId] = set()  # whose later versions are being looked into
        self._removed: set[PathId] = set()  # taken over from another goal, and not there
        self._over: list[TraceFile] = []
        self._number = 0

    # -- asking ---------------------------------------------------------------------------------------------------

    def environment(self, block: bytes) -> Environment:
        """The environment of this NUL-joined block, parsed once."""
        found = self._environments.get(block)
        if found is None:
            found = Environment(len(self._environments), block.split(b"\0"), self.library, self._plugin.meaningless)
            self._environments[block] = found
        return found

    def ask(
        self, kind: bytes, parent: int, cwd: bytes, argv: list[bytes], block: bytes, line: Line | None = None
    ) -> Result | Running:
        """A step that is current (its result), or one that has to run now."""
        if line is not None and not line.later:
            self._quiet.pop(line.recipe, None)
            self._at_work.discard(line.recipe)
        above = self.running.get(parent)
        if above is not None:
            self.take_in(above)
        captured = kind == RECIPE and self.is_read(parent)
        environment = self.environment(block)
        key = key_of(kind, cwd, self._plugin.normal_argv(argv))
        forced = self.forced or key in self.again
        reason: Reason | None = FORCED if forced else None
        latest: Result | None = None
        for candidate in self.recording.candidates(key):
            latest = latest or candidate
            if candidate.outs and self.mine.issuperset(candidate.outs[0::3]):
                return candidate
            self._take_over(candidate)
            if forced:
                break
            stale = self.judge(candidate, environment, cwd)
            if stale is None and (self._has_to_print(candidate, captured) or self._joins(candidate, line)):
                stale = PRINTS
            if stale is None:
                self._asked[candidate.id] = (argv, environment)
                self._believe(candidate, environment, above)
                if line is not None and not captured and _only_prints(candidate):
                    self._quiet.setdefault(line.recipe, []).append((candidate, environment, line.echo))
                return candidate
            reason = reason or stale
        running = self.start(kind, key, cwd, argv, environment, above, latest)
        running.reason = reason or NEVER_RAN
        running.keeps = captured
        if latest is not None:
            self._clear(latest)
        self._begin_line(running, line)
        return running

    def _believe(self, candidate: Result, environment: Environment, above: Running | None) -> None:
        """A step is current: it is skipped."""
        if candidate.flags & COMPOSITE:
            self._skipped_makes.append(candidate)
        self._searched_anew(candidate, environment, above)
        self._skip(candidate, above)

    def _begin_line(self, running: Running, line: Line | None) -> None:
        """A line of a recipe runs: those before it that only print are seen now."""
        if line is not None:
            self._at_work.add(line.recipe)
            running.first = [self._print_now(*each) for each in self._quiet.pop(line.recipe, [])]

    def _joins(self, candidate: Result, line: Line | None) -> bool:
        """Whether a line that only prints belongs to a recipe of which another line has run."""
        return line is not None and line.recipe in self._at_work and _only_prints(candidate)

    def _print_now(self, result: Result, environment: Environment, echo: bytes) -> Running:
        """Start a line that was skipped, for what it prints: a later line of its recipe runs."""
        argv = self._asked[result.id][0]
        cwd = self.tree.tables.paths[result.cwd]
        running = self.start(result.kind, result.key, cwd, argv, environment, None)
        running.reason = PRINTS
        running.echo = echo
        return running

    def is_read(self, parent: int) -> bool:
        """Whether somebody reads what the make in this step prints: its standard output is not the build's own."""
        above = self.running.get(parent)
        return above is not None and above.captured

    def _has_to_print(self, candidate: Result, captured: bool) -> bool:
        """Whether a current step has to run for what it prints: nobody else can say that in its place."""
        if candidate.kind != RECIPE:
            return False
        if captured:
            return not candidate.flags & KEPT
        # A clean build that runs a command twice is a build that runs it twice (design.md, rule 24).
        return not candidate.outs and (self.prints or candidate.id in self._ran_now)

    def start(
        self,
        kind: bytes,
        key: bytes,
        cwd: bytes,
        argv: list[bytes],
        environment: Environment,
        above: Running | None,
        latest: Result | None = None,
    ) -> Running:
        """A new running step; `latest`: what is known of its last run."""
        self._number += 1
        path = self._run_dir + b"/t/%d" % self._number
        account = Account(self.tree.seq, time.time_ns())
        running = Running(self._number, key, kind, cwd, argv, environment, above, account, TraceFile(path))
        running.times = self._plugin.compares_times(argv)
        account.replaces = kind == RECIPE and self._plugin.replaces(argv)
        if latest is not None:
            running.makes = [self.tree.tables.paths[pid] for pid, _pre, post in latest.outputs() if post]
        self.running[self._number] = running
        self._on_step(running)
        return running

    def _take_over(self, candidate: Result) -> None:
        """What another goal's build of this step made from nothing is not there before this goal has asked for it."""
        tree = self.tree
        for pid, pre, post in candidate.outputs() if tree.foreign or tree.uncovered else ():
            here = tree.foreign.get(pid)
            if pre == NO_VALUE and pid in tree.uncovered and not candidate.flags & COMPOSITE:
                tree.cover(pid)  # a sub-make sees what lies in it until its own step asks
            elif here is not None and pre == NO_VALUE and (here == post or self.recording.reaches(pid, post, here)):
                if pid in self.altered and self._guards(candidate, pid):
                    continue
                del tree.foreign[pid]
                if self._read_by_make(pid):
                    # The makefile that make began with: were it hidden, there would be nothing to begin the next build.
                    self.recording.product(self.goal, pid, here, here, self.recording.products[pid][1])
                    tree.begin_with(pid, here)
                    continue
                if self._taken_away(pid):
                    self._removed.add(pid)  # by the other goal, whose product it was until now
                self.recording.product(self.goal, pid, NO_VALUE, here, self.recording.products[pid][1])
                tree.hide(pid)
                tree.conceal(pid)

    def _guards(self, candidate: Result, pid: PathId) -> bool:
        """Whether a step makes a path only where there is none, and make does not know it: `[ -f it ] || cp sample it`.

        Then what a person wrote there is the person's, as it is to the step.
        """
        tables = self.tree.tables
        if not any(tables.fact_path[f] == pid and tables.fact_kind[f] == ABSENT for f in candidate.facts):
            return False
        return not any(pid in r.account.looks for r in self.running.values() if r.account.make)

    def _read_by_make(self, pid: PathId) -> bool:
        """Whether a make process that is at work has read this path, and found something."""
        tables = self.tree.tables
        read = {f for f in tables.facts_on.get(pid, ()) if tables.fact_kind[f] == READ}
        return any(r.account.make and not read.isdisjoint(r.account.facts) for r in self.running.values())

    def judge(self, candidate: Result, environment: Environment, cwd: bytes) -> Reason | None:
        """Why a recorded step is not current, asked for in this environment; None: it is."""
        reason = judge_kind(candidate) or self._judge_seeds(candidate)
        reason = reason or self._judge_environment(candidate, environment, cwd)
        reason = reason or judge_inputs(candidate, self.tree)
        return reason or judge_outputs(candidate, self.tree, self._reaches)

    def _judge_seeds(self, candidate: Result) -> Reason | None:
        if not self.recording.seeds or candidate.flags & COMPOSITE:
            return None  # nearly always: outputs need not be unpacked
        for pid, pre, post in candidate.outputs():
            seed = self._projector.seed(pid) if pre == NO_VALUE and pid in self.tree.named else None
            if seed is not None and seed != post:
                return Reason("Seeded", self.tree.tables.paths[pid])
        return None

    def _judge_environment(self, candidate: Result, environment: Environment, cwd: bytes) -> Reason | None:
        if not candidate.env:
            return None
        memo = (candidate.env, environment.id, cwd)
        facts = self.recording.env_sets.all[candidate.env]
        if facts.startswith(b"\2"):
            return self._judge_make(candidate, facts, environment, cwd)
        if memo not in self._env_holds:
            self._env_holds[memo] = environment.difference(facts, cwd)
        name = self._env_holds[memo]
        if name is None and self._leads_elsewhere(facts, environment):
            before = self.environment(self.recording.env_blocks.all[candidate.full_env])
            old, new = (e.variables.get(b"PATH", b"") for e in (before, environment))
            return Reason("VariableChanged", b"PATH", old, new)
        if name is None:
            return None
        if name == variables.WHOLE:
            before = self.environment(self.recording.env_blocks.all[candidate.full_env])
            name = environment.first_changed(before)
            old = before.variables.get(name, b"")
        else:
            old = next((f[len(name) + 1 :] for f in facts.split(b"\0") if f.startswith(name + b"=")), b"")
        return Reason("VariableChanged", name, old, environment.variables.get(name, b""))

    def _judge_make(self, candidate: Result, facts: bytes, environment: Environment, cwd: bytes) -> Reason | None:
        number, _, known = facts[1:].partition(b"=")
        names = self.recording.env_sets.all[int(number)]
        if environment.chosen(names, cwd).hex().encode() == known:
            return None
        before = self.environment(self.recording.env_blocks.all[candidate.full_env])
        name = environment.first_changed(before, names)
        old, new = (e.variables.get(name, b"") for e in (before, environment))
        return Reason("VariableChanged", name, old, new)

    def _leads_elsewhere(self, facts: bytes, environment: Environment) -> bool:
        """Whether one of the programs that were searched for is another one along PATH as it is now."""
        searches = environment.searches(facts)
        if searches is None:
            return False
        here = environment.variables.get(b"PATH", b"")
        return not (searchable(here) and self._lookups.agree(searches[1], searches[0], here))

    def _searched_anew(self, candidate: Result, environment: Environment, above: Running | None) -> None:
        """A step is current along another PATH than it ran with: where that found nothing is a fact of this build."""
        searches = environment.searches(self.recording.env_sets.all[candidate.env]) if candidate.env else None
        if searches is not None and above is not None:
            above.account.facts.update(self._lookups.passed(searches[1], environment.variables.get(b"PATH", b"")))

    def _reaches(self, pid: PathId, start: ValueId, end: ValueId) -> bool:
        """Whether known steps, none of them known to be stale already, lead from one version to the other."""
        if end == NO_VALUE and self._taken_away(pid):
            return False
        tree = self.tree
        tables = tree.tables
        if (pid in tree.made_at or tree.state.get(pid, NO_VALUE) != NO_VALUE) and pid not in tree.ahead:
            # What lies there (or that nothing does) is what this step finds, and not what was made of its product: two
            # steps in turn may have made the one of the other (a second pass): then each version leads to the other.
            return False

        # Gone with the directory that it was in: that one is there again, so it has to come back as well.
        parent = tables.path_ids.get(dirname(tables.paths[pid]))
        returned = end == NO_VALUE and parent in tree.made_at and tree.state[parent] and parent not in tree.ahead

        def usable(rid: ResultId) -> bool:
            maker = self.recording.result(rid)
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

        return self.recording.reaches(pid, start, end, usable)

    def _has_lost(self, maker: Result, pid: PathId) -> bool:
        """Whether another product of this step than pid is gone, or was changed by nobody known."""
        if pid in self._led_on:
            return False
        self._led_on.add(pid)
        try:
            for out, _pre, post in maker.outputs():
                if out == pid or out in self.tree.made_at:
                    continue
                here = self.tree.on_disk(out)
                if here != post and not self._reaches(out, post, here):
                    return True
            return False
        finally:
            self._led_on.discard(pid)

    def _taken_away(self, pid: PathId) -> bool:
        """Whether a path is gone because another goal (clean) removed it, not make itself nor a step of this goal."""
        last = self.goal.complete.get(pid)
        if last is not None:
            return last[1] != NO_VALUE
        return pid in self._removed or (
            (pid, NO_VALUE) in self.recording.makers and self.recording.writers.get(pid) != self.goal.key
        )

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
        """Remove what an earlier run of this step left and this build has not made: as in a clean tree.

        Of a composite: what it wrote itself. The steps below it will be asked for.
        """
        tree = self.tree
        below: set[PathId] = set()
        for number in result.kids:
            kid = self.recording.result(ResultId(number))
            if kid is not None:
                below.update(pid for pid, _pre, _post in kid.outputs())
        for pid, _pre, post in result.outputs():
            if tree.state.get(pid) != NO_VALUE or not post or pid in below:
                continue
            path = tree.tables.paths[pid]
            if self.disk.remove(path, self.places):
                tree.wrote(path)

    # -- while it runs --------------------------------------------------------------------------------------------

    def take_in(self, running: Running) -> None:
        """What a step that contains make has done by now (its other steps are taken in when they end)."""
        if running.account.make:
            self._absorb(running, running.trace.records(final=False), False)

    def make_started(self, number: int, captured: bool) -> None:
        """A make process came up in a step: all that the step wrote must be known before it evaluates."""
        running = self.running.get(number)
        if running is not None:
            running.captured |= captured
            if not running.account.make:
                running.account.make = True
            self.take_in(running)

    def _absorb(self, running: Running, records: list[bytes], final: bool) -> None:
        account = running.account
        self._accountant.absorb(account, records, running.environment.variables)
        if final and account.make:
            self._accountant.look_again(account)
        if account.fresh:
            if account.make:
                running.events.extend(account.fresh)
                for pid, pre, post in account.fresh:
                    # What else a composite does to products of steps below (a script that calls make moves or strips
                    # them) can't be done again by itself: they are made again for it.
                    if self.tree.tables.paths[pid] in account.intermediates:
                        self.recording.learn_own_write(pid, pre, post)
            self._mark_products(account)
            account.fresh = []

    def _mark_products(self, account: Account) -> None:
        for pid, found, post in account.fresh:
            self.recording.product(self.goal, pid, found, post, self.tree.made_at.get(pid, self.tree.seq))

    def about_to_change(self, number: int, path: bytes) -> None:
        """A step will write a file that was there before the build: what it holds is known now or never."""
        running = self.running.get(number)
        pid = self.tree.tables.path_ids.get(path)
        if running is None or pid in self.tree.state or path in running.account.before:
            return
        version = self.disk.own(path)
        if version and not self.disk.changed_since(path, running.account.started_ns):
            running.account.before[path] = version

    def _in_flight(self, account: Account) -> set[bytes]:
        """Paths that plain steps now running beside this one have written so far."""
        paths: set[bytes] = set()
        for other in self.running.values():
            if other.account is not account and not other.account.make:
                for record in TraceFile(other.trace.path).so_far():
                    if record[:1] in (letters.WRITE, letters.MOVEDIR_TO):
                        paths.add(record[1:])
        return paths

    def no_rule(self, path: bytes) -> None:
        """Make has no rule for a hidden file: a product that became a source. It evaluates once more, with the file."""
        tree = self.tree
        pid = tree.tables.path_ids.get(path)
        if pid is None or pid not in self.goal.products or tree.state.get(pid) != NO_VALUE or pid in tree.made_at:
            return  # a step of this build has taken it away: then make is right
        version = tree.on_disk(pid)
        if version != NO_VALUE:
            self.recording.becomes_source(pid, version, tree.seq)
            self.roles += 1
            self.restart = True
            self.give_up()

    # -- the end of a step ----------------------------------------------------------------------------------------

    def done(self, running: Running, code: int, wall_us: int, stdout: bytes, truncated: bool) -> Result:
        """A step ended: its result, remembered."""
        account = running.account
        self._absorb(running, running.trace.records(final=True), True)
        running.trace.close()
        self._over.append(running.trace)
        del self.running[running.number]
        tables = self.tree.tables
        result = Result(running.key, running.kind, tables.path(running.cwd), running.argv)
        result.code = code & 255
        result.wall_us = min(wall_us, 0xFFFFFFFF)
        result.stdout = stdout
        result.why = self._why_unseen(running, code, truncated)
        if result.why:
            result.flags |= UNSEEN
        if code and running.kind != SHELL:
            result.flags |= FAILED
        if running.keeps and not truncated:
            result.flags |= KEPT
        self._project(running)
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
        if running.kind == ROOT:
            self._what_for(result, account)
        self._environment_facts(running, result)
        result = self.recording.accept(result)
        self._ran_now.add(result.id)
        self._unsaved.append(result)
        if running.parent is not None:
            running.parent.events.append(Below(result, result.outputs()))
        self._log(running, result)
        return result

    def looked_too_soon(self, running: Running) -> list[PathId]:
        """What a step looked for in vain that other steps of this goal make, and have not made yet in this build."""
        if running.kind != RECIPE or running.account.make:
            return []
        tree, ids = self.tree, self.tree.tables.path_ids
        records = TraceFile(running.trace.path).so_far()
        own = {record[1:] for record in records if record[:1] == letters.WRITE}
        missed = {ids[r[1:]] for r in records if r[:1] == letters.ABSENT and r[1:] in ids and r[1:] not in own}
        return sorted(p for p in missed & self.goal.products if p not in tree.made_at and tree.state.get(p) == NO_VALUE)

    def try_again(self, running: Running, code: int, wall_us: int, made: PathId) -> Running:
        """A step that failed for want of a file that is there now begins once more; what it left is removed."""
        above = running.parent
        failed = self.done(running, code, wall_us, b"", False)
        self.ran.pop()
        self.counts.run -= 1
        self.counts.failed -= 1
        paths = self.tree.tables.paths
        if above is not None:
            event = above.events.pop()
            above.events.extend(event.writes if isinstance(event, Below) else [event])
        for pid, pre, post in failed.outputs():
            if pre == NO_VALUE and post and self.disk.remove(paths[pid], self.places):
                self.tree.wrote(paths[pid])
                self.tree.put(pid, post, NO_VALUE, wrote=True)
                if above is not None:
                    above.events.append((pid, post, NO_VALUE))
        again = self.start(running.kind, running.key, running.cwd, running.argv, running.environment, above)
        again.reason = Reason("LookedTooSoon", paths[made])
        again.keeps = running.keeps
        again.retried = True
        return again

    def _why_unseen(self, running: Running, code: int, truncated: bool) -> bytes:
        """Why what is known of a step that ended is not all of it; empty when it is."""
        why = running.account.unseen or running.trace.lost or b""
        if running.kind == SHELL:
            if truncated:
                why = why or b"more output than is kept"
            if code >= 128:
                why = why or b"it was killed"  # make takes no notice; what it got is not the answer
        elif self.interrupted():
            # make removes the targets of what it interrupts; a step that ended well just then seems to have made none.
            why = why or b"the build was interrupted"
        return why

    def _what_for(self, root: Result, account: Account) -> None:
        """Whether a goal is asked for what it prints, or may be."""
        # A makefile that make remakes first (an included one) is not what was asked for.
        if not any(post and pid not in account.reread for pid, _pre, post in root.outputs()):
            root.flags |= QUERY
        kids = (self.recording.result(ResultId(number)) for number in root.kids)
        if any(kid and kid.kind == RECIPE and not kid.outs and not kid.flags & COMPOSITE for kid in kids):
            root.flags |= SAYS

    def _project(self, running: Running) -> None:
        """Tables of names: begin them where the last build ended, and depend on names where that can be told."""
        if not running.account.make:
            for pid in self._projector.plant(running):
                self.recording.product(self.goal, pid, *running.account.outs[pid], self.tree.seq)
        self._projector.apply(running)

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
        if running.kind == ROOT:
            self.root_names = EVERY_NAME if self._plugin.names_any else self._names.of(account, result)
        elif account.make:
            if account.shell:
                names |= variables.SHELL_READS
            named = EVERY_NAME if self._plugin.names_any else self._names.of(account, result)
            result.env = self.recording.env_sets.number(self._facts_of_make(environment, named, running.cwd))
        else:
            if account.shell:
                names |= variables.SHELL_READS
            names |= variables.LIBC_READS
            path = environment.variables.get(b"PATH", b"")
            searched = self._lookups.searched(account.facts, path) if variables.WHOLE not in names else []
            result.env = self.recording.env_sets.number(environment.facts(names, running.cwd, searched))
        result.full_env = self.recording.env_blocks.number(environment.block)

    def _facts_of_make(self, environment: Environment, names: Names, cwd: bytes) -> bytes:
        """As Environment.facts, for a step that depends on all variables that a make in it can name.

        Their digest stands behind the number of the set of names.
        """
        if EVERY in names:
            return environment.facts({variables.WHOLE}, cwd)
        packed = pack(names)
        return b"\2%d=" % self.recording.env_sets.number(packed) + environment.chosen(packed, cwd).hex().encode()

    def _log(self, running: Running, result: Result) -> None:
        if result.flags & COMPOSITE:
            self.counts.evaluated += 1
            if running.kind == ROOT or not running.account.outs:
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
            if old is not None and old.key != result.key and old.build < self.recording.build:
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
                self.recording.drop_makers(maker, pid)
            return None
        asked = self._asked.get(maker.id)
        if asked is None:
            # It lies in a sub-make that was skipped. Only what make asks for is started: next time make asks for it.
            self._forget_around(maker)
            self.restart = True
            return None
        paths = self.tree.tables.paths
        running = self.start(maker.kind, maker.key, paths[maker.cwd], asked[0], asked[1], None)
        running.reason = Reason("OutputOverwritten", paths[pid])
        for out, _pre, _post in maker.outputs():
            self.tree.conceal(out)  # it starts from nothing again, and must not wait for itself
            running.account.anew.add(out)
        return running

    def came_with(self, pid: PathId) -> list[PathId]:
        """What lay in a directory that a later step had moved away, and is due again with it: the outermost first."""
        paths = self.tree.tables.paths
        prefix = paths[pid] + b"/"
        return sorted((p for p in self.tree.ahead if paths[p].startswith(prefix)), key=lambda p: len(paths[p]))

    def given(self, number: int, pid: PathId) -> None:
        """A running step opens pid now: where the version that is due could not be brought back, it is not believed."""
        tree = self.tree
        running = self.running.get(number)
        if running is not None and pid not in tree.initial and tree.on_disk(pid) != tree.state.get(pid):
            running.account.unseen = b"it was given a later version of " + tree.tables.paths[pid]

    def _forget_around(self, maker: Result) -> None:
        """Drop the records of skipped sub-makes that contain this step, so that another evaluation goes into them."""
        for skipped in self._skipped_makes:
            for make in self.recording.makes_around(skipped, maker, set()):
                self.recording.drop(make)

    def _may_run_again(self, maker: Result) -> bool:
        """Whether running it now leaves every path that it writes in the version that is due."""
        if maker.flags & (COMPOSITE | UNSEEN | FAILED):
            return False
        tree = self.tree
        own = set(maker.outs[0::3])
        if not all(not pre and tree.state.get(pid) == post for pid, pre, post in maker.outputs()):
            return False
        # What it read may have been taken away since: then it would fail now, and say so.
        kinds, paths = tree.tables.fact_kind, tree.tables.fact_path
        return not any(
            tree.state.get(PathId(paths[f])) == NO_VALUE and kinds[f] not in (ABSENT, LIST) and paths[f] not in own
            for f in maker.facts
        )

    # -- saving ---------------------------------------------------------------------------------------------------

    def conclude(self, root: Running) -> None:
        """Make ended well: stamps that a clean build would not have go, tables of names begin the next build as now."""
        stamps = self._projector.conclude()
        if stamps is None:
            return
        for pid, pre in list(self.tree.state.items()):
            path = self.tree.tables.paths[pid]
            gone = pre != NO_VALUE and path not in stamps and self._plugin.only_a_stamp(path)
            if gone and self.disk.remove(path, self.places):
                self.tree.wrote(path)
                self.tree.put(pid, pre, NO_VALUE, wrote=True)
                self.recording.product(self.goal, pid, pre, NO_VALUE, self.tree.seq)
                root.events.append((pid, pre, NO_VALUE))

    def drop_traces(self) -> None:
        """After results were saved: the traces of steps that have ended tell nothing more, and take room in memory."""
        for old in self._over:
            old.remove()
        self._over = []

    def settle(self) -> None:
        """Before results are saved: a source that changed after it was hashed makes its readers stale."""
        tables, tree = self.tree.tables, self.tree
        facts: set[int] = set()
        for result in self._unsaved:
            facts.update(result.facts)
        read = {tables.fact_path[f] for f in facts if tables.fact_kind[f] in CONTENT}
        changed = {p for p in read if p not in tree.state and not self.disk.still_same(tables.paths[p])}
        if changed:
            for result in self._unsaved:
                hit = changed.intersection(tables.fact_path[f] for f in result.facts if tables.fact_kind[f] in CONTENT)
                never = (tables.fact(NEVER, PathId(pid), NO_VALUE) for pid in hit)
                result.facts = array("I", sorted({*result.facts, *never}))
            for pid in changed:
                tree.wrote(tables.paths[pid])
        self._unsaved = []


def _only_prints(result: Result) -> bool:
    """Whether all that a recipe line does is to print, or to look at something and to fail."""
    made = result.outs or result.flags & COMPOSITE
    return result.kind == RECIPE and not made and shelltext.only_prints(result.argv)
