"""The supervisor: runs make, answers its launchers on a socket, hands what they say to the engine.

One thread, one epoll loop. A launcher's connection lives as long as its step; make's own processes, and processes that
open a file of which a later version lies on the disk, ask for a moment and wait (HM_M_MAKE, HM_M_WANT).
"""

import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable

from hashmake.errors import NotUnderstood
from hashmake.judge.engine import Engine
from hashmake.judge.running import Line, Running
from hashmake.model.result import RECIPE, SHELL, Result
from hashmake.model.tables import NO_VALUE, PathId
from hashmake.run import strays, trace

ASK, SKIP, RUN, DONE, ACK, MAKE, WANT, NORULE, BEFORE = b"QSGDAMWNB"
ASK_HEAD = struct.Struct("<BIIIIQB")  # kind, parent, pid, umask, argc, recipe, whether a later line of it
DONE_HEAD = struct.Struct("<IQQ")  # wait status, user+system us, max RSS kB
MAKE_HEAD = struct.Struct("<QQQ")  # step, device and inode of standard output
LENGTH = struct.Struct("<I")
_PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid
CAPTURE_MAX = 4 << 20
ALOUD = 0x100  # HM_ALOUD
_MESSAGE_MAX = 64 << 20  # all arguments and variables of a program are far less
_ACK_MESSAGE = b"\1\0\0\0A"
_COMMIT_EVERY_S = 0.5
_IDLE_S = 1.0  # how long a make may take to ask for its next step


class _Connection:
    """One peer: bytes not yet understood, and the step it runs."""

    __slots__ = ("buffer", "running", "sock", "started")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.running: Running | None = None
        self.started = 0.0


class _Ended:
    """What a launcher said of its step's end; missing: what the step had looked for in vain, for which it waits."""

    __slots__ = ("code", "connection", "idle_since", "missing", "running", "stdout", "wall_us")

    def __init__(self, connection: _Connection, running: Running, code: int, stdout: bytes) -> None:
        self.connection = connection
        self.running = running
        self.code = code
        self.stdout = stdout
        self.idle_since = time.monotonic()
        self.wall_us = int((self.idle_since - connection.started) * 1e6)
        self.missing: list[PathId] = []


class _Severed:
    """A step whose launcher was killed, or make itself (running is None): its processes are being ended."""

    __slots__ = ("calm", "hard_at", "running", "told")

    def __init__(self, running: Running | None) -> None:
        self.running = running
        self.hard_at = time.monotonic() + strays.PATIENCE_S
        self.told: set[int] = set()
        self.calm = 0  # how often in a row none was left: one that is just in exec has no environment for a moment


def _identity(file: int | str) -> list[int]:
    """Device and inode of a file; zeros when it is not open, or not there."""
    try:
        st = os.stat(file)
    except OSError:
        return [0, 0]
    return [st.st_dev, st.st_ino]


class Supervisor:
    """Serves one build. `commit` is called now and then, when there is something to save."""

    def __init__(self, engine: Engine, run_dir: str, library: str, commit: Callable[[], None]) -> None:
        self._engine = engine
        self._run_dir = run_dir
        self._library = library
        self._commit = commit
        self._connections: dict[int, _Connection] = {}
        self._waiting_for_more: list[_Ended] = []
        self._waiting: dict[PathId, list[tuple[_Connection, int]]] = {}  # and the number of the step
        self._reruns: dict[int, tuple[Running, subprocess.Popen[bytes] | None]] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(os.path.join(run_dir, "sock"))
        os.chmod(os.path.join(run_dir, "sock"), 0o600)
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._severed: list[_Severed] = []
        self._dirty = False
        self._deaf = False  # no descriptor was left for a new connection: they wait in the listener's queue
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._committed = time.monotonic()
        self._unread = (_identity(1), _identity(os.devnull))
        self.signals = 0
        engine.evaluation.interrupted = lambda: bool(self.signals or self._severed)

    # -- make -----------------------------------------------------------------------------------------------------

    def run_make(self, executable: str, command: list[str], environ: dict[str, str], root: Running) -> int:
        """Run make to its end; its exit status (128 + signal if it was killed)."""
        env = dict(environ)
        preload = env.get("LD_PRELOAD", "")
        env["LD_PRELOAD"] = f"{self._library} {preload}".strip()
        env["HASHMAKE_RUN"] = self._run_dir
        env["HASHMAKE_STEP"] = str(root.number)
        env["HASHMAKE_MAKE"] = os.path.realpath(executable)  # whatever its name: make-4.4.1
        make_trace(os.path.join(self._run_dir, "t", str(root.number)))
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll.register(reader, select.EPOLLIN)
        before = {s: signal.getsignal(s) for s in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        pids: list[int] = []
        for number in before:
            signal.signal(number, lambda n, _frame: self._signalled(n, pids))
        try:
            child = subprocess.Popen(command, executable=executable, env=env, close_fds=False)
            pids.append(child.pid)
            self._more_descriptors()
            while child.poll() is None:
                self._serve(0.5, reader)
            if child.returncode < 0:
                self._severed.append(_Severed(None))
            # What make left behind (a make that was killed) may still have launchers waiting.
            while self._severed or (self._engine.evaluation.running.keys() - {root.number} and self._connections):
                self._serve(0.5, reader)
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
            self._poll.unregister(reader)
            os.close(reader)
            os.close(writer)
        return child.returncode if child.returncode >= 0 else 128 - child.returncode

    def _more_descriptors(self) -> None:
        """Each step that runs takes some of ours; what make starts keeps the limit that we were started with."""
        _soft, hard = self._limit
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # then it goes on with what there is

    def _limit_again(self) -> None:
        """In a child, before its exec."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)

    def _signalled(self, number: int, make: list[int]) -> None:
        """The terminal signals make too; a signal sent to us alone is handed on."""
        if number == signal.SIGCHLD:
            return
        self.signals = number
        if make and (number != signal.SIGINT or not _from_terminal()):
            try:
                os.kill(make[0], number)
            except ProcessLookupError:
                pass

    # -- the loop -------------------------------------------------------------------------------------------------

    def _serve(self, timeout: float, wakeup: int) -> None:
        # Taken before the messages are read: where none is left, all that they had to say is there.
        left = [self._left(severed) for severed in self._severed]
        ready = self._poll.poll(self._patience(timeout))
        self._listen(True)
        for fd, _event in ready:
            if fd == wakeup:
                os.read(fd, 4096)
            elif fd == self._listener.fileno():
                self._accept()
            elif fd in self._connections:
                self._readable(self._connections[fd])
        self._end_reruns()
        self._end_severed(left)
        if self._waiting_for_more:
            self._look_after_failed()
        if self._dirty and time.monotonic() - self._committed >= _COMMIT_EVERY_S:
            self.save()

    def _patience(self, timeout: float) -> float:
        """How long to wait for messages: there may be something to save, or somebody to end."""
        if self._severed or self._deaf:
            return 0.01
        if self._waiting_for_more:
            timeout = min(timeout, 0.1)
        if self._dirty:
            return max(0.0, min(timeout, self._committed + _COMMIT_EVERY_S - time.monotonic()))
        return timeout

    def _end_reruns(self) -> None:
        for number, (running, process) in list(self._reruns.items()):
            if process is not None and process.poll() is not None and number not in self._engine.evaluation.running:
                del self._reruns[number]
            elif process is not None and process.poll() is not None and not self._serving(running):
                del self._reruns[number]
                self._engine.evaluation.running.pop(number, None)
                self._engine.evaluation.restart = True
                if running.then is not None:
                    running.then()

    def _end_severed(self, left: list[list[int]]) -> None:
        for severed, pids in zip(self._severed[: len(left)], left, strict=True):
            severed.calm = 0 if pids else severed.calm + 1
            if severed.calm == strays.LOOKS:
                self._severed.remove(severed)
                self._over(severed.running)

    def _left(self, severed: _Severed) -> list[int]:
        """The processes that are left, told to end."""
        pids = strays.find(self._run_dir, severed.running.number if severed.running is not None else None)
        if time.monotonic() > severed.hard_at:
            strays.send(pids, signal.SIGKILL)
        else:
            strays.send([pid for pid in pids if pid not in severed.told], signal.SIGTERM)
            severed.told.update(pids)
        return pids

    def _over(self, running: Running | None) -> None:
        """What a step without its launcher did is known from the trace, that it ended well is not."""
        if running is not None and running.number in self._engine.evaluation.running:
            running.trace.lost = b"its launcher was killed"
            self._engine.ending.done(running, 137, 0, b"", False)
            self._dirty = True

    def save(self) -> None:
        """Save what has ended since the last time."""
        self._commit()
        self._committed = time.monotonic()
        self._dirty = False

    def _serving(self, running: Running) -> bool:
        return any(c.running is running for c in self._connections.values())

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # no descriptor or no memory for it: it waits in the queue until others are done
                self._listen(False)
                return
            if _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1] != os.geteuid():
                sock.close()  # nobody else gets this far, unless somebody opened the run directory to them
                continue
            connection = _Connection(sock)
            self._connections[sock.fileno()] = connection
            self._poll.register(sock.fileno(), select.EPOLLIN)
            # The request usually is there already: saves one turn of the loop.
            self._readable(connection, flags=socket.MSG_DONTWAIT)

    def _listen(self, on: bool) -> None:
        """Whether to be told of connections that wait."""
        if self._deaf == on:
            self._deaf = not on
            self._poll.modify(self._listener.fileno(), select.EPOLLIN if on else 0)

    def _readable(self, connection: _Connection, flags: int = socket.MSG_DONTWAIT) -> None:
        try:
            data = connection.sock.recv(262144, flags)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._closed(connection)
            return
        connection.buffer = connection.buffer + data if connection.buffer else data
        try:
            self._messages(connection)
        except NotUnderstood:
            # Whoever it is, it speaks another language. If it ran a step, that step is not known to have ended well.
            self._closed(connection)

    def _messages(self, connection: _Connection) -> None:
        buffer = connection.buffer
        while len(buffer) >= 5:
            length = LENGTH.unpack_from(buffer)[0]
            if not 0 < length <= _MESSAGE_MAX:
                raise NotUnderstood("length")
            if len(buffer) < 4 + length:
                break
            connection.buffer = b""
            self._message(connection, buffer[4], buffer[5 : 4 + length])
            buffer = buffer[4 + length :]
        connection.buffer = buffer

    def _closed(self, connection: _Connection) -> None:
        fd = connection.sock.fileno()
        self._poll.unregister(fd)
        del self._connections[fd]
        connection.sock.close()
        running = connection.running
        if running is not None and running.number in self._engine.evaluation.running:
            self._severed.append(_Severed(running))

    def _message(self, connection: _Connection, kind: int, payload: bytes) -> None:
        if kind == ASK:
            self._ask(connection, payload)
        elif kind == DONE:
            self._done(connection, payload)
        elif kind == MAKE:
            number, *out = _head(MAKE_HEAD, payload)
            self._engine.intake.make_started(number, captured=any(out) and out not in self._unread)
            _send(connection.sock, _ACK_MESSAGE)
        elif kind == WANT:
            self._want(connection, _head(LENGTH, payload)[0], payload[4:])
        elif kind == BEFORE:
            self._engine.intake.about_to_change(_head(LENGTH, payload)[0], payload[4:])
            _send(connection.sock, _ACK_MESSAGE)
        elif kind == NORULE:
            _head(LENGTH, payload)
            self._engine.no_rule(payload[4:])
            _send(connection.sock, _ACK_MESSAGE)
        else:
            raise NotUnderstood("kind")

    # -- messages -------------------------------------------------------------------------------------------------

    def _ask(self, connection: _Connection, payload: bytes) -> None:
        kind, parent, _pid, _umask, argc, recipe, later = _head(ASK_HEAD, payload)
        echo, *strings = payload[ASK_HEAD.size :].split(b"\0", min(argc, len(payload)) + 3)
        if len(strings) != argc + 3 or strings[0][:1] != b"/" or connection.running is not None:
            raise NotUnderstood("ask")
        cwd, argv, block = strings[0], strings[1 : argc + 2], strings[argc + 2]
        rerun = self._rerun_of(block)
        if rerun is not None:
            self._start(connection, rerun)
            return
        line = Line((parent, recipe), bool(later), echo) if recipe else None
        answer = self._engine.ask(RECIPE if kind == RECIPE[0] else SHELL, parent, cwd, argv, block.rstrip(b"\0"), line)
        if isinstance(answer, Running) and answer.first:
            self._first(answer.first, connection, answer)
        elif isinstance(answer, Result):
            aloud = kind == RECIPE[0] and self._engine.is_read(parent)
            out = answer.stdout if aloud or kind != RECIPE[0] else b""
            head = struct.pack("<IBi", 5 + len(out), SKIP, answer.code | (ALOUD if aloud else 0))
            _send(connection.sock, head + out)
        else:
            self._start(connection, answer)

    def _first(self, before: list[Running], connection: _Connection, answer: Running) -> None:
        """Run the lines of the same recipe that only print, in their order, then the one that was asked for."""
        connection.running = answer  # should its launcher go meanwhile
        if before:
            self._run_again(before.pop(0), lambda: self._first(before, connection, answer))
        elif connection.sock.fileno() >= 0:
            self._start(connection, answer)

    def _start(self, connection: _Connection, running: Running) -> None:
        connection.running = running
        connection.started = running.started = time.monotonic()
        flags = (trace.TIMES if running.times else 0) | (trace.KEEP if running.keeps else 0)
        _send(connection.sock, struct.pack("<IBII", 9, RUN, running.number, flags))

    def _done(self, connection: _Connection, payload: bytes) -> None:
        running = connection.running
        status, cpu_us, peak_kb = _head(DONE_HEAD, payload)
        if running is None or status > 0xFFFF or not (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            raise NotUnderstood("done")
        running.cpu_us, running.peak_kb = cpu_us, peak_kb
        stdout = payload[DONE_HEAD.size :]
        code = os.waitstatus_to_exitcode(status)
        ended = _Ended(connection, running, code if code >= 0 else 128 - code, stdout)
        if code and not self.signals and running.then is None and not running.retried:
            ended.missing = self._engine.ending.looked_too_soon(running)
            if ended.missing:
                self._waiting_for_more.append(ended)
                return
        self._over_well(ended)

    def _over_well(self, ended: "_Ended") -> None:
        """A step has ended, whatever its status, and its launcher goes."""
        running, connection = ended.running, ended.connection
        truncated = len(ended.stdout) > CAPTURE_MAX
        self._engine.ending.done(running, ended.code, ended.wall_us, b"" if truncated else ended.stdout, truncated)
        _send(connection.sock, _ACK_MESSAGE)
        connection.running = None
        self._dirty = True
        if running.then is not None:
            running.then()

    def _look_after_failed(self) -> None:
        """Steps that failed, and had looked in vain for what other steps make: as soon as it is there they run again.

        Where nothing else is at work that could make it, they have failed.
        """
        tree = self._engine.evaluation.tree
        failed = {ended.running.number for ended in self._waiting_for_more}
        busy = any(r.number not in failed and not r.account.make for r in self._engine.evaluation.running.values())
        for ended in list(self._waiting_for_more):
            if busy:
                ended.idle_since = time.monotonic()
            made = next((pid for pid in ended.missing if tree.state.get(pid, NO_VALUE) != NO_VALUE), None)
            gone = ended.running.number not in self._engine.evaluation.running
            if made is None and not gone and not self.signals and time.monotonic() - ended.idle_since < _IDLE_S:
                continue
            self._waiting_for_more.remove(ended)
            if made is not None and not gone:
                self._start(
                    ended.connection, self._engine.ending.try_again(ended.running, ended.code, ended.wall_us, made)
                )
            elif not gone:
                self._over_well(ended)

    # -- versions ahead: running a step again for the version it made -----------------------------------------------

    def _want(self, connection: _Connection, step: int, path: bytes) -> None:
        tree = self._engine.evaluation.tree
        pid = tree.tables.path_ids.get(path)
        if pid is None or pid not in tree.ahead:
            waiting = self._waiting.get(pid) if pid is not None else None
            if waiting is not None:
                waiting.append((connection, step))
            else:
                _send(connection.sock, _ACK_MESSAGE)
            return
        self._waiting.setdefault(pid, []).append((connection, step))
        self.bring_back(pid, lambda: self._and_what_lay_in_it(pid, set()))

    def bring_back(self, pid: PathId, then: Callable[[], None]) -> None:
        """Run the step that makes the version of pid that is due; `then` when that has ended, well or not."""
        running = self._engine.ahead.bring_back(pid)
        if running is None:
            then()
        else:
            self._run_again(running, then)

    def _run_again(self, running: Running, then: Callable[[], None]) -> None:
        """Start a step ourselves; `then` when it has ended, well or not."""
        running.then = then
        env = dict(s.partition(b"=")[::2] for s in running.environment.block.split(b"\0") if s)
        preload = env.get(b"LD_PRELOAD", b"")
        env[b"LD_PRELOAD"] = (os.fsencode(self._library) + b" " + preload).strip()
        env[b"HASHMAKE_RUN"] = os.fsencode(self._run_dir)
        env[b"HASHMAKE_STEP"] = b"%d" % running.number
        env[b"HASHMAKE_RERUN"] = b"%d" % running.number
        launcher = os.fsencode(os.path.join(os.path.dirname(self._library), "hmstep"))
        echo = [b"T", running.echo] if running.echo else [b"-"]
        arguments = [launcher, running.kind + echo[0], *echo[1:], *running.argv]
        out = subprocess.DEVNULL if running.kind == SHELL else None
        try:
            process = subprocess.Popen(  # one thread only, so that a preexec_fn is safe
                arguments,
                env=env,
                cwd=running.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                preexec_fn=self._limit_again,  # noqa: PLW1509
            )
        except OSError:
            self._engine.evaluation.running.pop(running.number, None)
            self._engine.evaluation.restart = True
            then()
            return
        self._reruns[running.number] = (running, process)

    def _rerun_of(self, block: bytes) -> Running | None:
        at = block.find(b"HASHMAKE_RERUN=")
        if at < 0 or not self._reruns:
            return None
        number = block[at + 15 :].split(b"\0", 1)[0]
        running = self._reruns.get(int(number) if number.isdigit() else 0, (None, None))[0]
        return running if running is not None and not self._serving(running) else None

    def _and_what_lay_in_it(self, pid: PathId, tried: set[PathId]) -> None:
        inside = next((p for p in self._engine.ahead.came_with(pid) if p not in tried), None)
        if inside is None:
            self._released(pid)
        else:
            tried.add(inside)
            self.bring_back(inside, lambda: self._and_what_lay_in_it(pid, tried))

    def _released(self, pid: PathId) -> None:
        for connection, step in self._waiting.pop(pid, []):
            self._engine.ahead.given(step, pid)
            _send(connection.sock, _ACK_MESSAGE)

    def bring_back_all(self) -> None:
        """At the end of a build: every product must be, on the disk too, the version that this build made of it."""
        for pid in sorted(self._engine.evaluation.tree.ahead):
            if pid not in self._engine.evaluation.tree.ahead:
                continue
            done: list[bool] = []
            self.bring_back(pid, lambda done=done: done.append(True))  # type: ignore[misc]  # default binds the list
            while not done:
                self._serve(0.5, -1)

    def close(self) -> None:
        """Stop listening."""
        self._poll.close()
        self._listener.close()
        for connection in self._connections.values():
            connection.sock.close()


def _head(form: struct.Struct, payload: bytes) -> tuple[int, ...]:
    """The numbers with which a message begins."""
    if len(payload) < form.size:
        raise NotUnderstood("length")
    return form.unpack_from(payload)


def _send(sock: socket.socket, data: bytes) -> None:
    """Answers are small but for $(shell) output, and a launcher always reads; a dead one is ignored."""
    try:
        sock.sendall(data)
    except OSError:
        pass


def _from_terminal() -> bool:
    """Whether Ctrl-C comes from a terminal, which signals the whole foreground group, make included."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def make_trace(path: str) -> None:
    """The trace file of the root step (launchers make those of all others)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, 65536)
        head = trace.HEADER.pack(trace.MAGIC, trace.VERSION, trace.HEADER.size, 65536, 0, 1, 0)
        os.pwrite(fd, head, 0)
    finally:
        os.close(fd)
