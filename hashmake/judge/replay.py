"""Replay: the steps of a goal are asked for as make asked for them the last time, and make is not started.

make would ask for the same steps again, in the same words, as long as all that its own processes read, listed and
looked at is as it was, and what steps made for it came out as before. Then only the steps are judged, in the order in
which they ended the last time: what is stale runs, beside others that neither read nor write what it writes. Anything
else (a makefile or a list of files has changed, a step fails, a step reads what is made later) is left to make: what
has run by then is current when it asks.
"""

import re
from collections.abc import Callable
from posixpath import dirname

from hashmake.judge.account import Account
from hashmake.judge.blocks import Blocks
from hashmake.judge.courses import ALL, ONE_BY_ONE, said
from hashmake.judge.engine import Engine
from hashmake.judge.running import Below, Line, Pending, Restored, Running
from hashmake.model.course import Call, Course
from hashmake.model.kinds import ABSENT, EXISTS, LIST, NAME, NEVER, as_seen
from hashmake.model.result import COMPOSITE, ELSEWHERE, FAILED, RECIPE, SHELL, Result, ResultId
from hashmake.model.shelltext import only_prints
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId

_JOBS = re.compile(rb" ?-j\d* --jobserver-(?:auth|fds)=[^\0 ]+")

# So many steps run before other machines are asked: what one person has just edited, nobody else has built.
_ALONE = 4


class LeftToMake(Exception):
    """Make has to evaluate; why.

    touched  a step has been asked for: the tree is not any more as it was before the build
    failed   results of the steps that failed
    """

    def __init__(self, why: bytes) -> None:
        super().__init__(why)
        self.touched = False
        self.failed: set[ResultId] = set()


class _Reach:
    """What a step read and wrote the last time: two may run beside each other where these have nothing in common.

    alone  it was for some effect that nobody sees, or what else it wrote is not known
    """

    def __init__(self, result: Result, engine: Engine) -> None:
        tables = engine.evaluation.tree.tables
        kinds, paths = tables.fact_kind, tables.fact_path
        self.reads = {paths[f] for f in result.facts}
        self.lists = {paths[f] for f in result.facts if kinds[f] == LIST}
        self.writes = {*result.outs[0::3], *result.temps}
        shows = only_prints(result.argv) or result.silent() or result.kind == SHELL
        self.alone = bool(result.flags & ELSEWHERE) or not (result.outs or result.flags & COMPOSITE or shows)
        ids = tables.path_ids
        self.parents = {ids.get(dirname(tables.paths[pid]), -1) for pid in self.writes}

    def meets(self, other: "_Reach") -> bool:
        """Whether one of them had to wait for the other."""
        return (
            self.alone
            or other.alone
            or not (
                self.reads.isdisjoint(other.writes)
                and self.writes.isdisjoint(other.writes)
                and self.writes.isdisjoint(other.reads)
                and self.lists.isdisjoint(other.parents)
                and self.parents.isdisjoint(other.lists)
            )
        )


class _NoTrace:
    """Of a composite that was gone through without its processes."""

    lost: bytes | None = None

    def records(self, final: bool) -> list[bytes]:  # noqa: ARG002
        """None."""
        return []

    def confirm(self, _tail: int) -> bool:
        """There is no summary."""
        return False

    def so_far(self) -> list[bytes]:
        """None."""
        return []

    def close(self) -> None:
        """There is nothing to close."""

    def remove(self) -> None:
        """There is nothing to remove."""


class _Open:
    """A make whose steps are being gone through: what it went by, path by path.

    reads  paths of which it went by more than whether they are there; of reread ones the version that steps had made
    stale  a step left another version of that: why make would not go on like this
    """

    def __init__(self, course: Course, engine: Engine) -> None:
        tables = engine.evaluation.tree.tables
        self.serial = course.serial
        self.stale: bytes | None = None
        self.facts: dict[int, list[int]] = {}
        self.lists: set[int] = set()
        self.reread = set(course.reread)
        self.reads: set[int] = set(course.reread)
        for fid in (*course.facts, *course.looks, *course.decides):
            kind, pid = tables.fact_kind[fid], tables.fact_path[fid]
            if kind == LIST:
                self.lists.add(pid)
                continue
            self.facts.setdefault(pid, []).append(fid)
            if kind not in (ABSENT, EXISTS):
                self.reads.add(pid)


class _AtWork:
    """A step that runs.

    for_make  it makes what a make goes by
    beside    results of the steps that were judged meanwhile
    """

    def __init__(self, reach: _Reach, old: Result, for_make: bool) -> None:
        self.reach = reach
        self.for_make = for_make
        self.old = old
        self.beside: list[Result] = []


class Replay:
    """See the module's text."""

    def __init__(
        self,
        engine: Engine,
        jobs: int,
        start: Callable[[Running, Callable[[], None]], None],
        wait: Callable[[], None],
        show: Callable[[bytes, bytes], None],
        stopped: Callable[[], bool],
    ) -> None:
        """How things are done.

        start    a step: its launcher; and what to do when it has ended
        wait     until something has happened
        show     text on standard output, text on standard error
        stopped  whether the build was told to end
        jobs     how many steps run at a time
        """
        self._engine = engine
        self._jobs = jobs
        self._start = start
        self._wait = wait
        self._show = show
        self._stopped = stopped
        self._recording = engine.evaluation.recording
        self._tree = engine.evaluation.tree
        self._blocks = Blocks(self._recording.env_blocks.all, b"", b"")
        self._at_work: dict[int, _AtWork] = {}
        self._open: list[_Open] = []  # the goal's make first
        self._missed: set[PathId] = set()  # looked for in vain by a step that ran; made later, it ran too soon
        self._why: bytes | None = None
        self._touched = False
        self._ran = 0
        self._failed: set[ResultId] = set()

    def goal(self, root: Running, record: Result, course: Course) -> None:
        """All steps of a goal. Raises LeftToMake; then no step is at work any more."""
        blocks = self._recording.env_blocks.all
        self._blocks = Blocks(blocks, blocks[course.block], root.environment.block)
        try:
            self._go(root, record, course)
            self._look_for_missed()
        except LeftToMake as left:
            self._finish()
            left.touched = self._touched
            left.failed = self._failed
            raise
        finally:
            self._engine.sharing.alone = False

    def _look_for_missed(self) -> None:
        if any(self._tree.state.get(pid) for pid in self._missed):
            raise LeftToMake(b"a step looked for what is made after it")

    def _finish(self) -> None:
        while self._at_work:
            self._wait()

    # -- one composite ----------------------------------------------------------------------------------------------

    def _go(self, running: Running, record: Result, course: Course) -> None:
        self._begin(record, course)
        running.trace = _NoTrace()
        account = running.account
        account.make = True
        inside = b""
        opened = _Open(course, self._engine)
        self._open.append(opened)
        for call in course.calls:
            old = self._recording.result(call.result)
            if old is None:
                raise LeftToMake(b"a step is not recorded any more")
            if old.kind != SHELL:  # to which make 4.3 gives the flags that it was given itself
                inside = self._enter(inside, self._directory(call, old))
            self._room_for(old, 1 if course.serial else self._jobs)
            self._call(running, call, old)
            self._go_on()
        self._finish()
        self._go_on()
        self._open.pop()
        account.facts.update(map(FactId, course.facts))
        account.looks.update(PathId(self._tree.tables.fact_path[f]) for f in course.looks)
        account.reread.update(map(PathId, course.reread))
        account.decides.update(self._tree.tables.paths[self._tree.tables.fact_path[f]] for f in course.decides)
        account.decides.update((ALL, ONE_BY_ONE) if course.serial else (ALL,))
        account.names.update(course.names)
        account.goal = course.goal
        self._enter(inside, b"")

    def _go_on(self) -> None:
        if self._why is not None:
            raise LeftToMake(self._why)
        if self._stopped():
            raise LeftToMake(b"the build was told to end")
        for opened in self._open:
            if opened.stale is not None:
                raise LeftToMake(opened.stale)

    def _enter(self, inside: bytes, directory: bytes) -> bytes:
        """Make goes from one directory to another, or to none: what it says of that."""
        if inside != directory:
            for what, verb in ((inside, b"Leaving"), (directory, b"Entering")):
                self._show(what.replace(b"*", verb, 1), b"")
        return directory

    def _directory(self, call: Call, old: Result) -> bytes:
        """What make says of the directory in which it asks for a step, where it does; a star in the place of the verb.

        It says so where the flags that it gives to makes below have a `w`.
        """
        block = b"\0" + self._blocks[call.block]
        flags = block.partition(b"\0MAKEFLAGS=")[2].partition(b"\0")[0].partition(b" ")[0]
        level = block.partition(b"\0MAKELEVEL=")[2].partition(b"\0")[0]
        if b"w" not in flags or b"=" in flags or flags.startswith(b"-") or not level.isdigit():
            return b""
        name = b"make[%d]" % (int(level) - 1) if int(level) > 1 else b"make"
        return b"%s: * directory '%s'\n" % (name, self._tree.tables.paths[old.cwd])

    def _begin(self, record: Result, course: Course) -> None:
        """Whether make would begin as it did the last time. Raises LeftToMake."""
        tree, tables = self._tree, self._tree.tables
        entry, outs = set(record.facts), set(record.outs[0::3])
        made = {pid for pid, pre, _post in record.outputs() if pre == NO_VALUE}
        kinds, paths = tables.fact_kind, tables.fact_path
        facts = [f for f in course.facts if f in entry or paths[f] not in outs]
        listed = {paths[f] for f in course.facts if kinds[f] == LIST and f not in entry and paths[f] not in made}
        if listed:  # less what steps below had made in there
            facts = [f for f in facts if kinds[f] != LIST or f in entry]
            facts += [f for f in record.facts if kinds[f] == LIST and paths[f] in listed]
        facts += course.looks
        facts += [f for f in course.decides if paths[f] not in outs]
        for fid in facts:
            if kinds[fid] == NEVER or not tree.check(FactId(fid)):
                raise LeftToMake(b"make looked at " + tables.paths[paths[fid]])
        for call in course.calls:
            old = self._recording.result(call.result)
            if old is not None and old.kind == SHELL and outs.isdisjoint(paths[f] for f in old.facts):
                self._must_answer(old, self._blocks[call.block])

    def _differs(self, kind: int, pid: PathId, fact: bytes, old: bytes, new: bytes) -> bool:
        if kind in (ABSENT, EXISTS):
            return bool(old) != bool(new)
        if kind == NAME:
            return self._tree.names(pid, old, fact) and not self._tree.names(pid, new, fact)
        return as_seen(kind, old) == fact != as_seen(kind, new)

    # -- one step ---------------------------------------------------------------------------------------------------

    def _room_for(self, old: Result, jobs: int) -> None:
        """Wait until a step may be judged: what it read and wrote the last time is not being made, nor what make reads.

        What make reads may come out otherwise; then make asks for other steps.
        """
        if not self._at_work:
            return
        reach = _Reach(old, self._engine)
        while len(self._at_work) >= jobs or any(w.for_make or w.reach.meets(reach) for w in self._at_work.values()):
            self._wait()
        self._go_on()
        for at_work in self._at_work.values():
            at_work.beside.append(old)

    def _call(self, above: Running, call: Call, old: Result) -> None:
        engine = self._engine
        cwd = self._tree.tables.paths[old.cwd]
        argv = call.argv or old.argv
        block = self._blocks[call.block]
        if old.kind == SHELL:
            self._must_answer(old, block)
        self._touched = True
        line = Line((above.number, call.recipe), call.later, call.echo) if call.recipe else None
        engine.sharing.alone = self._ran < _ALONE
        answer = engine.ask(old.kind, above.number, cwd, argv, block, line)
        while isinstance(answer, Pending):
            self._wait()
            self._go_on()
            answer = engine.ask(old.kind, above.number, cwd, argv, block, line)
        if isinstance(answer, Running):
            self._run(answer, call, old)
        elif isinstance(answer, Restored):
            self._one_by_one(answer.first)
            self._show(call.echo + b"\n" if call.echo else b"", b"")
            self._show(answer.result.stdout, answer.result.stderr)
            self._compare(old, answer.result)
        elif answer.kind == SHELL and answer.stdout != old.stdout:
            raise LeftToMake(b"a command prints something else to make")
        else:
            self._compare(old, answer)

    def _must_answer(self, old: Result, block: bytes) -> None:
        """What make was given of a command must be what it would be given now."""
        environment = self._engine.environments.of(block)
        if self._engine.judging.judge(old, environment, self._tree.tables.paths[old.cwd]) is not None:
            raise LeftToMake(b"make has to be given the output of a command")

    def _run(self, running: Running, call: Call, old: Result) -> None:
        self._ran += 1
        block = self._blocks.recorded(call.block)
        argv = call.argv or old.argv
        cwd = self._tree.tables.paths[old.cwd]
        sealed = self._engine.courses.sealed
        if running.kind != RECIPE or sealed is None or sealed(said(RECIPE, cwd, argv, block)) != call.seal:
            self._engine.evaluation.running.pop(running.number, None)
            raise LeftToMake(b"a step that make was not heard to ask for")
        self._one_by_one(running.first)
        course = self._recording.course(old.id) if old.flags & COMPOSITE else None
        if course is not None and self._same_but_for_jobs(course.block, call.block):
            self._show(call.echo + b"\n" if call.echo else b"", b"")
            if self._went(running, old, course):
                self._compare(old, self._engine.ending.done(running, 0, 0))
                return
            call = call._replace(echo=b"")
        if old.flags & COMPOSITE:
            self._finish()  # it takes all jobs
        running.echo = call.echo
        reach = _Reach(old, self._engine)
        for_make = any(not reach.writes.isdisjoint(opened.reads) for opened in self._open)
        self._at_work[running.number] = at_work = _AtWork(reach, old, for_make)
        parent = running.parent
        self._start(running, lambda: self._ended(running, parent, at_work))
        if old.flags & COMPOSITE:
            self._finish()

    def _same_but_for_jobs(self, one: int, other: int) -> bool:
        """Whether two environment blocks are the same, but for how many jobs there are, and where they come from."""
        block = self._blocks.recorded
        return one == other or _JOBS.sub(b"", block(one)) == _JOBS.sub(b"", block(other))

    def _went(self, running: Running, old: Result, course: Course) -> bool:
        """Go through a make below. False: what is left of it is left to that make, and to no other."""
        depth = len(self._open)
        try:
            self._go(running, old, course)
        except LeftToMake:
            self._finish()
            del self._open[depth:]
            self._go_on()  # not what a make above goes by
            if not self._undo(running):
                raise
            running.trace = self._engine.starter.trace_of(running)
            account = running.account
            running.account = Account(account.since, account.started_ns)
            running.events.clear()
            return False
        return True

    def _undo(self, running: Running) -> bool:
        """Make begins in a tree without what its steps have made so far; False where that can't be had any more."""
        made: dict[PathId, ValueId] = {}
        for event in running.events:
            for pid, found, _left in event.writes if isinstance(event, Below) else ():
                made.setdefault(pid, found)
        if any(found != NO_VALUE for found in made.values()):
            return False
        for pid in made:
            self._tree.unmake(pid)
        return True

    def _one_by_one(self, lines: list[Running]) -> None:
        """Lines that only print, in their order, before anything else."""
        for line in lines:
            ended: list[bool] = []
            self._start(line, lambda ended=ended: ended.append(True))  # type: ignore[misc]  # default binds the list
            while not ended:
                self._wait()

    def _ended(self, running: Running, parent: Running | None, at_work: _AtWork) -> None:
        del self._at_work[running.number]
        event = parent.events[-1] if parent is not None and parent.events else None
        result = getattr(event, "result", None)
        if running.number in self._engine.evaluation.running or result is None or result.key != running.key:
            self._why = b"a step could not be started"
        elif result.flags & FAILED or result.code:
            self._why = b"a step failed"
            if not self._too_soon(result):
                self._failed.add(result.id)
            if self._stopped():
                self._remove(result)
        else:
            self._compare(at_work.old, result)
            self._look_for_strangers(at_work, result)

    def _too_soon(self, result: Result) -> bool:
        """Whether a step may have failed for want of what is made later: it runs again then."""
        tree, goal, tables = self._tree, self._engine.evaluation.goal, self._tree.tables
        missed = (PathId(tables.fact_path[f]) for f in result.facts if tables.fact_kind[f] == ABSENT)
        return any(pid in goal.products and not tree.state.get(pid, 1) for pid in missed)

    def _remove(self, result: Result) -> None:
        """What a step was writing when it was told to end, as make does."""
        for pid, _pre, post in result.outputs():
            path = self._tree.tables.paths[pid]
            if post and self._engine.evaluation.disk.remove(path, self._engine.evaluation.places):
                self._tree.wrote(path)

    def _compare(self, old: Result, new: Result) -> None:
        """What a step leaves now, beside what it left the last time: whether make would have seen the same."""
        if old is new:
            return
        before = {pid: post for pid, _pre, post in old.outputs()}
        after = {pid: post for pid, _pre, post in new.outputs()}
        for pid in before.keys() | after.keys():
            was, now = before.get(pid, NO_VALUE), after.get(pid, NO_VALUE)
            for opened in self._open if was != now else ():
                if self._concerns(opened, pid, was, now):
                    opened.stale = b"a step left another version of what make read: " + self._tree.tables.paths[pid]

    def _concerns(self, opened: _Open, pid: PathId, was: ValueId, now: ValueId) -> bool:
        tables = self._tree.tables
        values = tables.values
        came_or_went = (was == NO_VALUE) != (now == NO_VALUE)
        if came_or_went and tables.path_ids.get(dirname(tables.paths[pid])) in opened.lists:
            return True
        return pid in opened.reread or any(
            self._differs(tables.fact_kind[fid], pid, values[tables.fact_value[fid]], values[was], values[now])
            for fid in opened.facts.get(pid, ())
        )

    def _look_for_strangers(self, at_work: _AtWork, new: Result) -> None:
        """What a step that ran read or made for the first time: others had to wait for that, or it for them."""
        tree, goal = self._tree, self._engine.evaluation.goal
        tables = tree.tables
        known = set(at_work.old.facts)
        for fid in new.facts:
            pid = PathId(tables.fact_path[fid])
            if fid not in known and pid in goal.products and pid not in tree.made_at and not tree.state.get(pid, 1):
                self._missed.add(pid)
        strangers = set(new.outs[0::3]) ^ set(at_work.old.outs[0::3])
        if not strangers:
            return
        others = [*at_work.beside, *(w.old for w in self._at_work.values())]
        for other in others:
            reach = _Reach(other, self._engine)
            parents = {tables.path_ids.get(dirname(tables.paths[pid]), -1) for pid in strangers}
            if not (reach.reads | reach.writes).isdisjoint(strangers) or not reach.lists.isdisjoint(parents):
                self._why = b"a step made what another one looked at beside it"
