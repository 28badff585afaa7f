"""The supervisor: runs make, answers its launchers on a socket, hands what they say to the engine.

A launcher's connection lives as long as its step; make's own processes, and processes that open a file of which a later
version lies on the disk, ask for a moment and wait (HM_M_MAKE, HM_M_WANT).
"""

import os
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from hashmake.errors import NotUnderstood
from hashmake.judge.engine import Engine
from hashmake.judge.replay import Replay
from hashmake.judge.running import Line, Pending, Restored, Running
from hashmake.model.course import Course
from hashmake.model.printed import ERR, ONE, OUT, Printed
from hashmake.model.result import RECIPE, Result
from hashmake.model.tables import NO_VALUE, PathId
from hashmake.run import protocol, trace
from hashmake.run.due import Due
from hashmake.run.jobserver import Jobserver
from hashmake.run.limits import Descriptors
from hashmake.run.loop import Connection, Loop
from hashmake.run.make import Make
from hashmake.run.reruns import Reruns
from hashmake.run.severed import Severed

if TYPE_CHECKING:
    from hashmake.run.farm import Farm
    from hashmake.store.execute import Outcome
    from hashmake.store.remote import RemoteStore

_COMMIT_EVERY_S = 0.5  # at least; and what a commit takes is only a small share of the build:
_COMMIT_SHARE = 40
_NO_LIMIT = 1 << 16  # of jobs
_IDLE_S = 1.0  # how long a make may take to ask for its next step


class _Ended:
    """What a launcher said of its step's end; missing: what the step had looked for in vain, for which it waits."""

    __slots__ = ("code", "connection", "idle_since", "missing", "printed", "running", "wall_us")

    def __init__(self, connection: Connection, running: Running, code: int, printed: Printed) -> None:
        self.connection = connection
        self.running = running
        self.code = code
        self.printed = printed
        self.idle_since = time.monotonic()
        self.wall_us = int((self.idle_since - connection.started) * 1e6)
        self.missing: list[PathId] = []


class Supervisor:
    """Serves one build. `commit` is called now and then, when there is something to save."""

    def __init__(
        self,
        engine: Engine,
        run_dir: str,
        library: str,
        commit: Callable[[], None],
        remote: "RemoteStore | None" = None,
    ) -> None:
        """`remote`: other machines, which may run steps, too."""
        self._engine = engine
        self._evaluation = engine.evaluation
        self._commit = commit
        self._descriptors = Descriptors()
        self._make = Make(run_dir, library)
        self._loop = Loop(os.path.join(run_dir, "sock"), self._message, self._hung_up)
        self._reruns = Reruns(engine.evaluation, self._loop, run_dir, library, self._descriptors)
        self._due = Due(engine, self._reruns)
        self._severed = Severed(run_dir)
        self._waiting_for_more: list[_Ended] = []
        self._farm: Farm | None = None
        if remote is not None:
            remote.arrived = self._loop.ring
        if remote is not None and remote.endpoint.executes:
            from hashmake.run import farm  # not where nobody asked for it

            self._farm = farm.Farm(engine, remote, run_dir, library, self._loop.ring)
        self._pending: list[tuple[Connection, protocol.Ask]] = []
        self._dirty = False
        self._committed = time.monotonic()
        self._pause_s = _COMMIT_EVERY_S
        self._unread = (_identity(1), _identity(2), _identity(os.devnull), _identity("/dev/tty"))
        engine.restoring.one = _identity(1) == _identity(2)
        engine.restoring.prints = (OUT if _takes_text(1) else 0) | (ERR if _takes_text(2) else 0)
        engine.evaluation.interrupted = lambda: bool(self.signals or self._severed)

    @property
    def signals(self) -> int:
        """The last signal that told the build to end; 0: none came."""
        return self._make.signals

    def heeding_signals(self) -> AbstractContextManager[None]:
        """Meanwhile signals that tell the build to end are noted (`signals`)."""
        return self._make.heeding()

    def run_make(self, executable: str, command: list[str], environ: dict[str, str], root: Running) -> int:
        """Run make to its end; its exit status (128 + signal if it was killed)."""
        with self._make.watched(self._loop.wake_by):
            self._make.start(executable, command, environ, root)
            self._descriptors.raise_limit()
            while (code := self._make.ended()) is None:
                self.serve(0.5)
            if code < 0:
                self._severed.add(None)
            # What make left behind (a make that was killed) may still have launchers waiting.
            while self._severed or (self._evaluation.running.keys() - {root.number} and self._loop.connections):
                self.serve(0.5)
        return code if code >= 0 else 128 - code

    def replay(self, record: Result, course: Course, root: Running, jobs: int) -> None:
        """Go through a goal's steps without make. Raises LeftToMake."""
        jobserver = self._reruns.jobserver = Jobserver(jobs)
        replay = Replay(
            self._engine,
            jobs or _NO_LIMIT,
            lambda running, then: self._reruns.start(running, then, None if jobs == 1 else subprocess.DEVNULL),
            lambda: self.serve(0.5),
            _show,
            lambda: bool(self.signals),
        )
        with self._make.watched(self._loop.wake_by):
            self._descriptors.raise_limit()
            try:
                replay.goal(root, record, course)
            finally:
                self._reruns.jobserver = None
                jobserver.close()

    def bring_back_all(self) -> None:
        """At the end of a build: every product must be, on the disk too, the version that this build made of it.

        Unless it was told to end.
        """
        self._due.bring_back_all(lambda: self.serve(0.5), lambda: bool(self.signals))

    def close(self) -> None:
        """Stop listening."""
        self._loop.close()

    def serve(self, timeout_s: float) -> None:
        """One turn: all messages that are there, and whoever has waited long enough."""
        # Taken before the messages are read: where none is left, all that they had to say is there.
        left = self._severed.look()
        self._loop.turn(self._patience(timeout_s))
        if self.signals and self._reruns.jobserver is not None:
            self._make.pass_on(self._reruns.pass_on)
        if self._loop.rung:
            self._ask_again()
        self._reruns.end()
        for running in self._severed.ended(left):
            self._over(running)
        if self._waiting_for_more:
            self._look_after_failed()
        if self._dirty and time.monotonic() - self._committed >= self._pause_s:
            self._save()

    def _save(self) -> None:
        """A build that is killed loses what came after; but each time all that was read lately is looked at again."""
        began = time.monotonic()
        self._commit()
        self._committed = time.monotonic()
        self._pause_s = max(_COMMIT_EVERY_S, _COMMIT_SHARE * (self._committed - began))
        self._engine.sharing.tell()
        self._dirty = False

    def _patience(self, timeout_s: float) -> float:
        """How long to wait for messages: there may be something to save, or somebody to end."""
        if self._severed or self._loop.deaf:
            return 0.01
        if self._waiting_for_more:
            timeout_s = min(timeout_s, 0.1)
        if self._dirty:
            return max(0.0, min(timeout_s, self._committed + self._pause_s - time.monotonic()))
        return timeout_s

    def _over(self, running: Running) -> None:
        """What a step without its launcher did is known from the trace, that it ended well is not."""
        if running.number in self._evaluation.running:
            running.trace.lost = b"its launcher was killed"
            self._engine.ending.done(running, 137, 0)
            self._dirty = True
            if running.then is not None:
                running.then()

    def _hung_up(self, connection: Connection) -> None:
        running = connection.running
        if running is not None and running.number in self._evaluation.running:
            self._severed.add(running)

    # -- messages -------------------------------------------------------------------------------------------------

    def _message(self, connection: Connection, kind: int, payload: bytes) -> None:
        if kind == protocol.ASK:
            self._ask(connection, protocol.ask(payload))
        elif kind == protocol.DONE:
            self._done(connection, protocol.done(payload))
        elif kind == protocol.WANT:
            self._due.want(connection, *protocol.path(payload))
        else:
            self._told(kind, payload)
            connection.acknowledge()

    def _told(self, kind: int, payload: bytes) -> None:
        """Something that only has to be known."""
        if kind == protocol.MAKE:
            number, out, err = protocol.make(payload)
            self._engine.intake.make_started(number, self._read_by_somebody(out, err))
        elif kind == protocol.BEFORE:
            self._engine.intake.about_to_change(*protocol.path(payload))
        elif kind == protocol.NORULE:
            self._engine.no_rule(protocol.path(payload)[1])
        else:
            raise NotUnderstood("kind")

    def _read_by_somebody(self, out: list[int], err: list[int]) -> int:
        """What is read of what a make prints to files of these identities: what doesn't go where ours goes."""
        if not any(out) or out in self._unread:
            return ERR if any(err) and err not in self._unread else 0
        if out == err:
            return ONE
        return OUT | (ERR if any(err) and err not in self._unread else 0)

    def _ask(self, connection: Connection, asked: protocol.Ask) -> None:
        if connection.running is not None:
            raise NotUnderstood("ask")
        rerun = self._reruns.asked_for(asked.block)
        if rerun is not None:
            self._start_somewhere(connection, rerun)
            return
        line = Line((asked.parent, asked.recipe), asked.later, asked.echo) if asked.recipe else None
        answer = self._engine.ask(asked.kind, asked.parent, asked.cwd, asked.argv, asked.block.rstrip(b"\0"), line)
        if isinstance(answer, Pending):
            self._pending.append((connection, asked))
        elif isinstance(answer, Restored):
            self._first(answer.first, lambda: connection.tell(_all_of(answer.result)))
        elif isinstance(answer, Running) and answer.first:
            connection.running = answer  # should its launcher go meanwhile
            self._first(answer.first, lambda: self._start_if_open(connection, answer))
        elif isinstance(answer, Result):
            read = self._engine.read_of(asked.parent) if asked.kind == RECIPE else OUT
            out = answer.stdout if read & (OUT | ONE) else b""
            err = answer.stderr if read & ERR else b""
            connection.tell(protocol.skip(answer.code, out, err, asked.kind == RECIPE and bool(read & (OUT | ONE))))
        else:
            self._start_somewhere(connection, answer)

    def _ask_again(self) -> None:
        """Something has arrived: steps of which it was not known whether they have to run are judged again."""
        self._loop.rung = False
        if self._farm is not None:
            self._farm.arrived()
        pending, self._pending = self._pending, []
        for connection, asked in pending:
            if connection.open():
                self._ask(connection, asked)

    def _first(self, before: list[Running], then: Callable[[], object]) -> None:
        """Run the lines of the same recipe that only print, in their order; `then` what was asked for."""
        if before:
            self._reruns.start(before.pop(0), lambda: self._first(before, then))
        else:
            then()

    def _start_if_open(self, connection: Connection, running: Running) -> None:
        if connection.open():
            self._start_somewhere(connection, running)

    def _start_somewhere(self, connection: Connection, running: Running) -> None:
        """On another machine, where that is possible, else here."""
        connection.running = None  # its launcher waits, and runs nothing
        then = partial(self._came_back, connection, running)
        if self._farm is None or not self._farm.take(running, then):
            self._start(connection, running)

    def _came_back(self, connection: Connection, running: Running, outcome: "Outcome | None") -> None:
        """A step has been run elsewhere, and is recorded; or it has to run here."""
        if outcome is not None:
            self._dirty = True
            connection.tell(protocol.skip(0, outcome.out, outcome.err, aloud=True))
            if running.then is not None:
                running.then()
        elif connection.open():
            self._start(connection, running)
        else:
            self._evaluation.running.pop(running.number, None)

    def _start(self, connection: Connection, running: Running) -> None:
        connection.running = running
        connection.started = running.started = time.monotonic()
        flags = trace.TIMES if running.times else 0
        flags |= trace.KEEP if running.keeps & (OUT | ONE) else 0
        flags |= trace.KEEP_ERR if running.keeps & (ERR | ONE) else 0
        flags |= trace.WATCH if running.watched else 0
        connection.tell(protocol.run(running.number, flags))

    def _done(self, connection: Connection, done: protocol.Done) -> None:
        running = connection.running
        if running is None:
            raise NotUnderstood("done")
        running.cpu_us, running.peak_kb, running.summary = done.cpu_us, done.peak_kb, done.summary
        ended = _Ended(connection, running, done.code, done.printed)
        if done.code and not self.signals and running.then is None and not running.retried:
            ended.missing = self._engine.ending.looked_too_soon(running)
            if ended.missing:
                self._waiting_for_more.append(ended)
                return
        self._over_well(ended)

    def _over_well(self, ended: _Ended) -> None:
        """A step has ended, whatever its status, and its launcher goes."""
        running, connection = ended.running, ended.connection
        truncated = max(len(ended.printed.out), len(ended.printed.err)) > protocol.CAPTURE_MAX
        self._engine.ending.done(running, ended.code, ended.wall_us, ended.printed, truncated)
        connection.acknowledge()
        connection.running = None
        self._dirty = True
        if running.then is not None:
            running.then()

    def _look_after_failed(self) -> None:
        """Steps that failed, and had looked in vain for what other steps make: as soon as it is there they run again.

        Where nothing else is at work that could make it, they have failed.
        """
        tree, at_work = self._evaluation.tree, self._evaluation.running
        failed = {ended.running.number for ended in self._waiting_for_more}
        busy = any(r.number not in failed and not r.account.make for r in at_work.values())
        for ended in list(self._waiting_for_more):
            if busy:
                ended.idle_since = time.monotonic()
            made = next((pid for pid in ended.missing if tree.state.get(pid, NO_VALUE) != NO_VALUE), None)
            gone = ended.running.number not in at_work
            if made is None and not gone and not self.signals and time.monotonic() - ended.idle_since < _IDLE_S:
                continue
            self._waiting_for_more.remove(ended)
            if made is not None and not gone:
                again = self._engine.ending.try_again(ended.running, ended.code, ended.wall_us, made)
                self._start(ended.connection, again)
            elif not gone:
                self._over_well(ended)


def _show(out: bytes, err: bytes) -> None:
    """Print what no launcher is there to print."""
    for fd, text in ((1, out), (2, err)):
        written = 0
        while written < len(text):
            written += os.write(fd, text[written:])


def _all_of(result: Result) -> bytes:
    """The answer for a step that is restored: its echo, and what it printed."""
    return protocol.skip(result.code, result.stdout, result.stderr, aloud=True)


def _takes_text(fd: int) -> bool:
    """Whether printing there goes well as long as there is room: as launcher/keep.c has it (can_watch)."""
    try:
        mode, device = os.fstat(fd).st_mode, os.fstat(fd).st_rdev
        if not os.get_inheritable(fd):
            return False  # it was closed; front.py has put something in its place
    except OSError:
        return False
    plain = stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return plain or (stat.S_ISCHR(mode) and (device == os.makedev(1, 3) or os.isatty(fd)))


def _identity(file: int | str) -> list[int]:
    """Device and inode of a file; zeros when it is not open, or not there."""
    try:
        st = os.stat(file)
    except OSError:
        return [0, 0]
    return [st.st_dev, st.st_ino]
