"""The loop: one thread, one epoll. Takes connections, cuts what comes over them into messages, sends answers."""

import os
import select
import socket
import struct
import threading
from collections.abc import Callable

from hashmake.errors import NotUnderstood
from hashmake.judge.running import Running
from hashmake.run import protocol

_PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid


class Connection:
    """One peer: bytes not yet understood, and the step it runs, since when (monotonic clock, s)."""

    __slots__ = ("buffer", "running", "sock", "started")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.running: Running | None = None
        self.started = 0.0

    def tell(self, data: bytes) -> None:
        """Answers are small but for $(shell) output, and a launcher always reads; a dead one is ignored."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def acknowledge(self) -> None:
        """What it waited for is so now."""
        self.tell(protocol.ACKNOWLEDGED)

    def open(self) -> bool:
        """Whether the peer has not hung up, as far as is known."""
        return self.sock.fileno() >= 0


class Loop:
    """The socket of one build.

    message  is called with each message: connection, kind, payload; it may raise NotUnderstood
    hung_up  is called when a connection has ended, or speaks another language
    rung     somebody has rung, from another thread, since this was last set to False
    deaf     no descriptor was left for a new connection: they wait in the listener's queue
    """

    def __init__(
        self, path: str, message: Callable[[Connection, int, bytes], None], hung_up: Callable[[Connection], None]
    ) -> None:
        self.connections: dict[int, Connection] = {}
        self.deaf = False
        self._message = message
        self._hung_up = hung_up
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._wakeup = -1
        self.rung = False
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._bell, select.EPOLLIN)
        self._closing = threading.Lock()

    def ring(self) -> None:
        """End the waiting; from any thread."""
        with self._closing:
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def wake_by(self, fd: int) -> None:
        """A descriptor whose bytes only end the waiting; -1: none any more."""
        if self._wakeup >= 0:
            self._poll.unregister(self._wakeup)
        self._wakeup = fd
        if fd >= 0:
            self._poll.register(fd, select.EPOLLIN)

    def turn(self, timeout_s: float) -> None:
        """Wait for messages, and have all that are there answered."""
        ready = self._poll.poll(timeout_s)
        self._listen(True)
        for fd, _event in ready:
            if fd == self._bell:
                os.eventfd_read(fd)
                self.rung = True
            elif fd == self._wakeup:
                os.read(fd, 4096)
            elif fd == self._listener.fileno():
                self._accept()
            elif fd in self.connections:
                self._readable(self.connections[fd])

    def serves(self, running: Running) -> bool:
        """Whether somebody runs this step."""
        return any(c.running is running for c in self.connections.values())

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
            connection = Connection(sock)
            self.connections[sock.fileno()] = connection
            self._poll.register(sock.fileno(), select.EPOLLIN)
            # The request usually is there already: saves one turn of the loop.
            self._readable(connection)

    def _listen(self, on: bool) -> None:
        """Whether to be told of connections that wait."""
        if self.deaf == on:
            self.deaf = not on
            self._poll.modify(self._listener.fileno(), select.EPOLLIN if on else 0)

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(262144, socket.MSG_DONTWAIT)
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

    def _messages(self, connection: Connection) -> None:
        rest = connection.buffer
        while (found := protocol.first(rest)) is not None:
            kind, payload, rest = found
            connection.buffer = b""
            self._message(connection, kind, payload)
        connection.buffer = rest

    def _closed(self, connection: Connection) -> None:
        fd = connection.sock.fileno()
        self._poll.unregister(fd)
        del self.connections[fd]
        connection.sock.close()
        self._hung_up(connection)

    def close(self) -> None:
        """Stop listening."""
        with self._closing:
            os.close(self._bell)
            self._bell = -1
        self._poll.close()
        self._listener.close()
        for connection in self.connections.values():
            connection.sock.close()
