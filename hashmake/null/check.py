"""The null build: is everything as the last complete build left it? Nothing but digests, and next to no imports."""

import _thread
import os
import time

from hashmake.disk import reading
from hashmake.disk.signature import unchanged
from hashmake.model import digest
from hashmake.model.names import STATE_NAME
from hashmake.null.manifest import Manifest

TYPE_CHECKING = False  # typing takes as long to load as a small null build
if TYPE_CHECKING:
    from collections.abc import Callable

_LARGE = 1 << 20


class Check:
    """One look at the tree, and what it saw: who starts make after it need not read that again.

    same      files that were as recorded: path and version
    since_ns  all was read after this moment
    """

    def __init__(self) -> None:
        self.same: list[tuple[bytes, bytes]] = []
        self.since_ns = time.time_ns()

    def first_difference(self, manifest: Manifest) -> bytes | None:
        """The first path that is not as recorded; None: nothing changed, make need not be started."""
        read_paths, read_versions, look_paths, look_versions, absent = manifest[:5]
        lazy = zip(*manifest[9:], strict=True)
        unread = [(path, version) for path, version, known in lazy if not (known and unchanged(path, known))]
        for path, _version in unread:
            if os.path.islink(path):
                return path  # it was none
        paths = [*read_paths, *(p for p, _ in unread)]
        found = self._first_other_content(paths, [*read_versions, *(v for _, v in unread)])
        if found is not None:
            return found
        for path, version in zip(look_paths, look_versions, strict=True):
            if not _looks_like(path, version):
                return path
        found = _first_present(absent)
        if found is not None:
            return found
        for path, names, products in zip(*manifest[5:8], strict=True):
            if not _lists_as(path, names, products):
                return path
        return None

    def _first_other_content(self, paths: list[bytes], versions: list[bytes]) -> bytes | None:
        """Large files (compilers and their libraries) are most of the bytes; a second thread begins with them."""
        of_file = reading.of_file
        large: list[tuple[int, bytes, bytes]] = []
        differ: list[bytes] = []

        def work() -> None:
            while large and not differ:
                try:
                    _size, path, version = large.pop()
                except IndexError:
                    return
                if of_file(path, version[:1] == b"F")[0] != version:
                    differ.append(path)
                else:
                    self.same.append((path, version))

        small = []
        for path, version in zip(paths, versions, strict=True):
            size = int.from_bytes(version[2:10], "little")
            if size > _LARGE:
                large.append((size, path, version))
            else:
                small.append((path, version))
        large.sort()
        done = _thread.allocate_lock()
        if large:
            done.acquire()
            _thread.start_new_thread(_released_after, (work, done))
        others = (n for n, (path, version) in enumerate(small) if of_file(path, version[:1] == b"F")[0] != version)
        at = next(others, len(small))
        differ += [path for path, _version in small[at : at + 1]]
        work()
        with done:  # what the other thread has in hand may be the one that differs
            self.same += small[:at]
            return differ[0] if differ else None


def _released_after(work: "Callable[[], None]", lock: _thread.LockType) -> None:
    try:
        work()
    finally:
        lock.release()


def _looks_like(path: bytes, version: bytes) -> bool:
    """version: as Tree.seen tells, with the kind of look in front: E exists, T through links, O the path itself."""
    kind, expected = version[:1], version[1:]
    if kind == b"H":
        from hashmake.disk.host import host_fact

        return host_fact(path) == expected
    try:
        if kind == b"E":
            os.stat(path)
            return True
        if kind == b"A":
            return digest.access(reading.head_of(os.stat(path))) == expected
        if kind == b"T":
            return reading.head_of(os.stat(path)) == expected
    except OSError:
        return False
    return digest.head(reading.of_path(path)[0] if expected[:1] == b"L" else _own_head(path)) == expected


def _own_head(path: bytes) -> bytes:
    try:
        return reading.head_of(os.lstat(path))
    except OSError:
        return digest.ABSENT


def _first_present(absent: list[bytes]) -> bytes | None:
    """Sorted by directory: where the directory is missing, nothing below needs a look."""
    access, exists = os.access, os.F_OK
    missing: dict[bytes, bool] = {}
    for path in absent:
        parent = path[: path.rfind(b"/")]
        gone = missing.get(parent)
        if gone is None:
            gone = missing[parent] = bool(parent) and not access(parent, exists)
        if not gone and access(path, exists):
            return path
    return None


def _lists_as(path: bytes, expected: bytes, products: bytes) -> bool:
    try:
        names = set(os.listdir(path))
    except OSError:
        return False
    if products:
        names.difference_update(products.split(b"\0"))
    names.discard(STATE_NAME)
    return b"\0".join(sorted(names)) == expected
