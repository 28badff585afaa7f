"""Calls to a server of the Remote Execution API: many in flight, none waited for, each answered in one thread.

What servers do, and how a client has to take it: ../shared/research/reapi.md of this project's beginnings, retold in
docs/farm.md. A server that can't be reached is given up for the rest of a build, in one line.
"""

import os
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from hashmake.store import calls
from hashmake.store.endpoint import Endpoint
from hashmake.store.packing import Packing

_IN_FLIGHT = 64  # calls; BuildGrid refuses more than its `thread-pool-size`: then fewer
_CALL_S = 10.0
_CONNECT_S = 3.0
_TRIES = 4
_RETRY_S = 0.1  # doubled each time
_MOMENT_S = 0.005
_FAILURES = 3  # in a row: nobody is there
_BATCH = 3_900_000  # bytes of one message, where the server says nothing; gRPC itself stops at 4 MiB
_CHUNK = 1 << 20
_LOCAL = ("127.", "localhost", "[::1]", "unix:")

Then = Callable[[Any, str], None]  # an answer, or None and the name of a status
OFF = "OFF"  # the server was given up
# Statuses by which servers refuse to be written to: BuildGrid alone has three.
REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED")


class Client:
    """See the module's text. All but `put`, `stop` and the counts belong to the thread that runs `run`.

    up     the server can be written to
    batch  bytes that one message may carry
    given_up  is called where the server is given up
    executes  it runs steps
    packs  contents may be compressed
    off    why the server was given up; empty: it was not
    errors  calls that failed
    """

    def __init__(self, endpoint: Endpoint, say: Callable[[str], None]) -> None:
        self.up = endpoint.writes
        self.batch = _BATCH
        self.off = ""
        self.errors = 0
        self._endpoint = endpoint
        self._say = say
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waiting: deque[tuple[str, Any, Then, int]] = deque()
        self._later: list[tuple[float, str, Any, Then, int]] = []
        self._tasks: list[tuple[float, Callable[[], None]]] = []
        self._limit = _IN_FLIGHT
        self._in_flight = 0
        self._failures: dict[str, int] = {}  # in a row, of each method
        self._stubs: dict[str, Any] = {}
        self._channel: Any = None
        self.packing: Packing
        self.packs = self._streams_packed = self.executes = False
        self._wire: Any = None
        self._metadata = [("authorization", f"Bearer {endpoint.token}")] if endpoint.token else None
        self._stopped = False
        self._idle: Callable[[], None] = lambda: None
        self.given_up: Callable[[], None] = lambda: None

    # -- for other threads ----------------------------------------------------------------------------------------

    def put(self, task: Callable[[], None]) -> None:
        """Have something done in the client's thread."""
        self._queue.put(task)

    def later(self, task: Callable[[], None]) -> None:
        """Have something done in the client's thread when a moment has passed."""
        self._tasks.append((time.monotonic() + _MOMENT_S, task))

    def stop(self) -> None:
        """End the thread; what is in flight is given up."""
        self._stopped = True
        self._queue.put(lambda: None)

    # -- the thread -----------------------------------------------------------------------------------------------

    def run(self, idle: Callable[[], None]) -> None:
        """Connect, and answer, until told to stop. `idle` is called when nothing is left to be done at once."""
        self._idle = idle
        try:
            self._connect()
            while not self._stopped:
                self._turn()
        except Exception as error:  # noqa: BLE001  # a fault here must cost a build nothing but its hits
            self.give_up(f"{type(error).__name__}: {error}")
            while not self._stopped:
                self._turn()
        finally:
            if self._channel is not None:
                self._channel.close()

    def _turn(self) -> None:
        task: Callable[[], None] | None
        try:
            task = self._queue.get_nowait()
        except queue.Empty:
            self._idle()
            try:
                task = self._queue.get(timeout=self._patience())
            except queue.Empty:
                task = None
        if task is not None:
            task()
        self._retry()

    def _patience(self) -> float | None:
        moments = [each[0] for each in self._later] + [moment for moment, _task in self._tasks]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _retry(self) -> None:
        if self._later:
            now = time.monotonic()
            due = [each for each in self._later if each[0] <= now]
            self._later = [each for each in self._later if each[0] > now]
            self._waiting.extend(each[1:] for each in due)
            self._pump()
        if self._tasks:
            now = time.monotonic()
            tasks = [task for moment, task in self._tasks if moment <= now]
            self._tasks = [each for each in self._tasks if each[0] > now]
            for task in tasks:
                task()

    def _connect(self) -> None:
        """Raises ImportError where the extra is not installed."""
        # It has handlers for fork that print to standard error; we only ever exec.
        os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
        os.environ["GRPC_VERBOSITY"] = "NONE"
        try:
            import grpc

            from hashmake.store import wire
        except ImportError as error:
            self.give_up(f"{error}; pip install 'hashmake[remote]'")
            return
        finally:
            del os.environ["GRPC_ENABLE_FORK_SUPPORT"], os.environ["GRPC_VERBOSITY"]
        self._wire = wire
        self.packing = Packing()
        endpoint = self._endpoint
        options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", 64 << 20)]
        if endpoint.target.startswith(_LOCAL):
            options.append(("grpc.enable_http_proxy", 0))
        if endpoint.secure:
            credentials = grpc.ssl_channel_credentials(endpoint.ca, endpoint.key, endpoint.certificate)
            self._channel = grpc.secure_channel(endpoint.target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(endpoint.target, options)
        for path, answer in calls.ANSWERS.items():
            streams = self._channel.unary_stream
            kinds = {calls.READ: streams, calls.EXECUTE: streams, calls.WRITE: self._channel.stream_unary}
            self._stubs[path] = kinds.get(path, self._channel.unary_unary)(
                path,
                request_serializer=lambda message: message.SerializeToString(deterministic=True),
                response_deserializer=wire.MESSAGE[answer].FromString,
            )
        request = wire.MESSAGE["GetCapabilitiesRequest"](instance_name=endpoint.instance)
        try:
            self._known(
                self._stubs[calls.CAPABILITIES](
                    request, timeout=_CONNECT_S, metadata=self._metadata, wait_for_ready=False
                )
            )
        except grpc.RpcError as error:
            self.give_up(_words(error))

    def _known(self, capabilities: Any) -> None:
        cache = capabilities.cache_capabilities
        if cache.digest_functions and self._wire.SHA256 not in cache.digest_functions:
            self.give_up("it has no SHA-256")
        if cache.max_batch_total_size_bytes:  # 0: it does not say
            self.batch = min(_BATCH, cache.max_batch_total_size_bytes - 1024)
        zstd = calls.ZSTD
        self.packs = self.packing.works and zstd in cache.supported_batch_update_compressors
        self._streams_packed = self.packing.works and zstd in cache.supported_compressors
        self.executes = self._endpoint.executes and capabilities.execution_capabilities.exec_enabled
        if self._endpoint.executes and not self.executes:
            self.executes = True
            self.runs_nothing("it runs no steps")
        if self.up and not cache.action_cache_update_capabilities.update_enabled:
            self.refused("it takes no results")

    def give_up(self, why: str) -> None:
        """For the rest of the build nobody is asked, or told, anything."""
        if self.off:
            return
        self.off = why
        self.up = False
        self._say(f"{self._endpoint.name}: {why}; the build goes on without the shared cache")
        waiting = [*self._waiting, *(each[1:] for each in self._later)]
        self._waiting.clear()
        self._later.clear()
        for _path, _request, then, _tries in waiting:
            then(None, OFF)
        self.given_up()

    def refused(self, why: str) -> None:
        """This machine may not write there."""
        if self.up:
            self.up = False
            self._say(f"{self._endpoint.name}: {why}; results of this build are not shared")

    def runs_nothing(self, why: str) -> None:
        """Steps are not sent there any more."""
        if self.executes:
            self.executes = False
            self._say(f"{self._endpoint.name}: {why}; they run here")

    # -- calls ----------------------------------------------------------------------------------------------------

    def call(self, path: str, message: str, fields: dict[str, Any], then: Then) -> None:
        """Call a method with a message; `then` gets its answer."""
        if self.off:
            then(None, OFF)
            return
        request = self._wire.MESSAGE[message](instance_name=self._endpoint.instance, **fields)
        self._waiting.append((path, request, then, 0))
        self._pump()

    def message(self, name: str, /, **fields: Any) -> Any:
        """A message of the API."""
        return self._wire.MESSAGE[name](**fields)

    def serialized(self, name: str, /, **fields: Any) -> bytes:
        """The same, as bytes that are the same each time."""
        data: bytes = self.message(name, **fields).SerializeToString(deterministic=True)
        return data

    def _pump(self) -> None:
        while self._waiting and self._in_flight < self._limit and not self.off:
            path, request, then, tries = self._waiting.popleft()
            self._in_flight += 1
            future = self._stubs[path].future(request, timeout=_CALL_S, metadata=self._metadata)
            # The default values bind what the loop goes on to change.
            future.add_done_callback(
                lambda done, path=path, request=request, then=then, tries=tries: self._queue.put(
                    lambda: self._ended(done, path, request, then, tries)
                )
            )

    def _ended(self, done: Any, path: str, request: Any, then: Then, tries: int) -> None:
        self._in_flight -= 1
        status = done.code().name
        if status in ("RESOURCE_EXHAUSTED", "UNAVAILABLE") and tries < _TRIES and not self.off:
            if status == "RESOURCE_EXHAUSTED":
                self._limit = max(1, self._limit // 2)
            self._later.append((time.monotonic() + _RETRY_S * 2**tries, path, request, then, tries + 1))
        else:
            self._judge(path, status, done)
            then(done.result() if status == "OK" else None, status)
        self._pump()

    def _judge(self, path: str, status: str, done: Any) -> None:
        """How the server does: one that takes contents, and fails to find results, is of no use."""
        if status in ("OK", "NOT_FOUND", *REFUSED):
            self._failures[path] = 0
            return
        self.errors += 1
        self._failures[path] = self._failures.get(path, 0) + 1
        if self._failures[path] >= _FAILURES:
            self.give_up(_words(done))

    # -- contents that don't fit into a message -------------------------------------------------------------------

    def read(self, sha256: bytes, size: int, then: Then) -> None:
        """Read a content, whole."""
        name = f"{self._prefix()}{self._kind()}/{sha256.hex()}/{size}"
        request = self._wire.MESSAGE["ReadRequest"](resource_name=name)
        threading.Thread(target=self._read, args=(request, size, then), daemon=True).start()

    def _read(self, request: Any, size: int, then: Then) -> None:
        import grpc

        pieces: list[bytes] = []
        came = 0
        try:
            for answer in self._stubs[calls.READ](request, timeout=_CALL_S + size / 1e6, metadata=self._metadata):
                pieces.append(answer.data)
                came += len(answer.data)
                if came > size:
                    break
            content: bytes | None = b"".join(pieces)
            if self._streams_packed:
                content = self.packing.unpack(content or b"", size)
            status = "OK"
        except grpc.RpcError as error:
            content, status = None, error.code().name
        self._queue.put(lambda: then(content, status))

    def execute(self, action: Any, deadline_s: float, then: Then) -> None:
        """Have an action run: an ExecuteResponse, or None and why not."""
        request = self._wire.MESSAGE["ExecuteRequest"](instance_name=self._endpoint.instance, action_digest=action)
        threading.Thread(target=self._execute, args=(request, deadline_s, then), daemon=True).start()

    def _execute(self, request: Any, deadline_s: float, then: Then) -> None:
        import grpc

        answer, status = None, "UNKNOWN"
        try:
            call = self._stubs[calls.EXECUTE](request, timeout=deadline_s, metadata=self._metadata)
            for (
                operation
            ) in call:  # where the stream ends early nobody is cancelled: the server drops who does not listen
                if operation.done:
                    answer = self._wire.MESSAGE["ExecuteResponse"].FromString(operation.response.value)
                    status = "OK" if not operation.error.code and not answer.status.code else "FAILED"
        except grpc.RpcError as error:
            status = error.code().name
        self._queue.put(lambda: then(answer if status == "OK" else None, status))

    def write(self, sha256: bytes, content: bytes, then: Then) -> None:
        """Write a content, whole."""
        name = f"{self._prefix()}uploads/{uuid.uuid4()}/{self._kind()}/{sha256.hex()}/{len(content)}"
        if self._streams_packed:
            content = self.packing.packed(content)
        future = self._stubs[calls.WRITE].future(
            self._pieces(name, content), timeout=_CALL_S + len(content) / 1e6, metadata=self._metadata
        )
        future.add_done_callback(
            lambda done: self._queue.put(
                lambda: then(done.result() if done.code().name == "OK" else None, done.code().name)
            )
        )

    def _pieces(self, name: str, content: bytes) -> Iterator[Any]:
        for at in range(0, len(content), _CHUNK):
            piece = content[at : at + _CHUNK]
            yield self._wire.MESSAGE["WriteRequest"](
                resource_name=name, write_offset=at, data=piece, finish_write=at + len(piece) == len(content)
            )

    def _kind(self) -> str:
        return "compressed-blobs/zstd" if self._streams_packed else "blobs"

    def _prefix(self) -> str:
        return f"{self._endpoint.instance}/" if self._endpoint.instance else ""


def _words(error: Any) -> str:
    """A failed call, in a few words."""
    status = error.code().name.lower().replace("_", " ")
    details = (error.details() or "").strip().split("\n", 1)[0][:120]
    return f"{status}: {details}" if details else status
