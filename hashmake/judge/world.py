"""What decisions ask of the world, as Protocols: disk.Disk and run.TraceFile keep them, tests/fakes.py has twins."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from hashmake.model.shared import Seen


class Versions(Protocol):
    """What lies on the disk, path by path (described in disk/disk.py)."""

    def content(self, path: bytes) -> bytes: ...  # noqa: D102  # described there
    def own(self, path: bytes) -> bytes: ...  # noqa: D102
    def head(self, path: bytes) -> bytes: ...  # noqa: D102
    def looked(self, path: bytes) -> bytes: ...  # noqa: D102
    def own_looked(self, path: bytes) -> bytes: ...  # noqa: D102
    def exists(self, path: bytes) -> bool: ...  # noqa: D102
    def names(self, path: bytes) -> list[bytes] | None: ...  # noqa: D102
    def forget(self, path: bytes) -> None: ...  # noqa: D102


class Moments(Protocol):
    """When a file can have changed, by the clock that stamps files."""

    def now_ns(self) -> int: ...  # noqa: D102
    def changed_since(self, path: bytes, moment_ns: int) -> bool: ...  # noqa: D102
    def touched_since(self, path: bytes, moment_ns: int) -> bool | None: ...  # noqa: D102
    def known_before(self, path: bytes, moment_ns: int) -> bytes | None: ...  # noqa: D102
    def still_same(self, path: bytes) -> bool: ...  # noqa: D102
    def lasting_signature(self, path: bytes) -> bytes: ...  # noqa: D102


class Places(Protocol):
    """What a path is, now, whatever is remembered of it."""

    def is_directory(self, path: bytes) -> bool: ...  # noqa: D102
    def is_link(self, path: bytes) -> bool: ...  # noqa: D102
    def is_there(self, path: bytes) -> bool: ...  # noqa: D102
    def is_program(self, path: bytes) -> bool: ...  # noqa: D102
    def is_private(self, path: bytes) -> bool: ...  # noqa: D102
    def real(self, path: bytes) -> bytes: ...  # noqa: D102
    def below(self, path: bytes) -> Iterator[tuple[bytes, list[bytes], list[bytes]]]: ...  # noqa: D102
    def linked_file(self, path: bytes) -> tuple[int, int] | None: ...  # noqa: D102
    def read(self, path: bytes, most: int) -> bytes | None: ...  # noqa: D102


class DiskLike(Versions, Moments, Places, Protocol):
    """All of it, and the changes that a build makes itself."""

    def restore_time(self, path: bytes, version: bytes) -> None: ...  # noqa: D102
    def remove(self, path: bytes, places: tuple[bytes, ...]) -> bool: ...  # noqa: D102
    def replace(self, path: bytes, content: bytes) -> bool: ...  # noqa: D102
    def make_empty(self, path: bytes) -> bool: ...  # noqa: D102


class Store(Protocol):
    """Contents of what steps left (store/local.py)."""

    def keep(self, path: bytes, version: bytes) -> int | None: ...  # noqa: D102  # described there
    def fetch(self, files: list[tuple[bytes, bytes, int]]) -> "Fetched | None": ...  # noqa: D102
    def note(self, table: bytes, key: bytes, name: bytes, data: Callable[[], bytes]) -> None: ...  # noqa: D102
    def noted(self, table: bytes, key: bytes, most: int) -> list[tuple[bytes, bytes]]: ...  # noqa: D102
    def put(self, content: bytes, executable: bool) -> bytes | None: ...  # noqa: D102
    def get(self, version: bytes) -> bytes | None: ...  # noqa: D102
    def mentions(self, version: bytes, word: bytes) -> bool: ...  # noqa: D102
    def is_packed(self, version: bytes) -> bool: ...  # noqa: D102


class Remote(Protocol):
    """What other machines have told (store/remote.py). Nothing here waits: what is not there yet arrives later.

    salt    names the cache: what came from another one is not found, in the store of this machine either
    writes  results of this machine are told
    """

    salt: bytes
    writes: bool

    def sets(self, step: bytes) -> list[Seen] | None: ...  # noqa: D102  # described there
    def result(self, step: bytes, seen: Seen, answers: bytes, tools: bytes) -> bytes | None: ...  # noqa: D102
    def sum_of(self, path: bytes, version: bytes) -> bytes | None: ...  # noqa: D102
    def tell(self, told: "Told") -> None: ...  # noqa: D102


class Told(NamedTuple):
    """A result that other machines may know (model/shared.py).

    step, seen, answers  what it is found by: a digest (32 bytes), a set of things, a digest
    left                 a packed Left
    files                contents that it refers to: version, and a name for people
    wall_us              wall time that the step took, us
    """

    step: bytes
    seen: Seen
    answers: bytes
    left: bytes
    files: list[tuple[bytes, bytes]]
    wall_us: int


class Fetched(Protocol):
    """Contents that are about to be put in their places."""

    def place(self) -> bool: ...  # noqa: D102


class Known(Protocol):
    """Is told what a record of a plain step tells now (run/known.py)."""

    def learned(self, record: bytes, fact: int) -> None: ...  # noqa: D102
    def forgot(self, record: bytes) -> None: ...  # noqa: D102


class Trace(Protocol):
    """The trace of one step (run/trace.py)."""

    lost: bytes | None

    def records(self, final: bool) -> list[bytes]: ...  # noqa: D102
    def so_far(self) -> list[bytes]: ...  # noqa: D102
    def confirm(self, tail: int) -> bool: ...  # noqa: D102
    def remove(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


# The trace of the step with this number of the build, from its beginning.
OpenTrace = Callable[[int], Trace]
