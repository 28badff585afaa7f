"""The disk, as this build has seen it: each path is read at most once until someone says that it changed."""

import os
import stat
import time
from collections.abc import Iterator

from hashmake.disk import modes, reading
from hashmake.disk.changing import make_empty, remove, replace
from hashmake.disk.host import host_fact
from hashmake.disk.signature import Signature, changed_since, signature, unchanged
from hashmake.model import digest
from hashmake.model.names import STATE_NAME


class Disk:
    """Versions and listings, remembered. `host` answers for paths that do not start with "/"."""

    def __init__(self, own_directories: frozenset[bytes] = frozenset()) -> None:
        self._content: dict[bytes, bytes] = {}
        self._looked: dict[bytes, bytes] = {}
        self._known_looks: dict[bytes, tuple[bytes, bytes]] = {}
        self._own: dict[bytes, bytes] = {}
        self._heads: dict[bytes, bytes] = {}
        self._signatures: dict[bytes, bytes] = {}  # of the files behind the paths, not of links
        self._links_read_at: dict[bytes, int] = {}
        self._former: dict[bytes, tuple[bytes, int]] = {}
        self._names: dict[bytes, list[bytes] | None] = {}
        self._own_directories = own_directories
        self._clock = time.time_ns() - time.monotonic_ns()
        self._umask = modes.umask()
        self.files_read = 0

    def content(self, path: bytes) -> bytes:
        """Version behind path, links followed."""
        version = self._content.get(path)
        if version is None:
            if path[:1] != b"/":
                version = host_fact(path)
            else:
                version, st = reading.of_file(path)
                self.files_read += 1
                if st is not None:
                    self._signatures[path] = signature(st, time.time_ns())
            self._content[path] = version
        return version

    def own(self, path: bytes) -> bytes:
        """Version of path itself: a link is a link."""
        version = self._own.get(path)
        if version is None:
            try:
                st = os.lstat(path)
            except OSError:
                version = digest.ABSENT
            else:
                if stat.S_ISLNK(st.st_mode):
                    version = reading.of_path(path)[0]
                    self._links_read_at[path] = time.time_ns()
                elif stat.S_ISREG(st.st_mode):
                    version = self.content(path)
                else:
                    version = reading.head_of(st)
            self._own[path] = version
        return version

    def head(self, path: bytes) -> bytes:
        """digest.head of the version behind path, without reading it."""
        version = self._content.get(path)
        if version is not None:
            return digest.head(version)
        head = self._heads.get(path)
        if head is None:
            try:
                head = reading.head_of(os.stat(path))
            except OSError:
                head = digest.ABSENT
            self._heads[path] = head
        return head

    def looked(self, path: bytes) -> bytes:
        """What content(path) gives, for whoever has only looked at it: an unchanged signature may save the reading."""
        version = self._content.get(path, self._looked.get(path))
        if version is None:
            head = self.head(path)
            if head[:1] != b"F":
                return head
            known = self._known_looks.get(path)
            if known is not None and unchanged(path, known[1]):
                version = self._looked[path] = known[0]
                self._signatures[path] = known[1]
            else:
                version = self.content(path)
        return version

    def own_looked(self, path: bytes) -> bytes:
        """What own(path) gives, in the same way."""
        version = self._own.get(path)
        if version is None:
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                return digest.ABSENT
            version = self.looked(path) if stat.S_ISREG(mode) else self.own(path)
        return version

    def know_looks(self, paths: list[bytes], versions: list[bytes], signatures: list[bytes]) -> None:
        """What an earlier build had found of files that were only looked at; see lasting_signature."""
        self._known_looks = {p: (v, s) for p, v, s in zip(paths, versions, signatures, strict=True) if s}

    def know_contents(self, files: list[tuple[bytes, bytes]], since_ns: int) -> None:
        """What somebody has read after that moment: paths and versions. Kept of files that can't have changed since."""
        for path, version in files:
            try:
                st = os.stat(path)
            except OSError:
                continue
            if not changed_since(st, since_ns):
                self._content[path] = version
                self._signatures[path] = signature(st, since_ns)

    def lasting_signature(self, path: bytes) -> bytes:
        """The signature by which a later build may know the content behind path again; empty if none is to be trusted.

        The file must not have changed so shortly before it was read that a change just after would look the same.
        """
        packed = self._signatures.get(path, b"")
        if not packed:
            return b""
        then = Signature(packed)
        return packed if then.ctime_ns + then.granularity_ns() < then.read_at_ns else b""

    def exists(self, path: bytes) -> bool:
        """Whether opening path would find something (links followed)."""
        version = self._content.get(path)
        return bool(version) if version is not None else os.access(path, os.F_OK)

    def names(self, path: bytes) -> list[bytes] | None:
        """Names in a directory, sorted, state directories left out; None when it can't be listed."""
        if path not in self._names:
            try:
                names = sorted(os.listdir(path))
            except OSError:
                self._names[path] = None
            else:
                prefix = path if path.endswith(b"/") else path + b"/"
                own = self._own_directories
                self._names[path] = [n for n in names if n != STATE_NAME and prefix + n not in own]
        return self._names[path]

    def forget(self, path: bytes) -> None:
        """Something wrote path."""
        version = self._content.pop(path, None)
        self._looked.pop(path, None)
        self._known_looks.pop(path, None)
        self._own.pop(path, None)
        self._heads.pop(path, None)
        self._links_read_at.pop(path, None)
        packed = self._signatures.pop(path, None)
        if packed is not None and version and path not in self._former:
            self._former[path] = (version, Signature(packed).mtime_ns)
        self._names.pop(path, None)
        self._names.pop(os.path.dirname(path), None)

    def changed_since(self, path: bytes, moment_ns: int) -> bool:
        """Whether the file read for content(path) may have been changed at or after moment_ns (its ctime tells).

        Where the clock is a little too coarse, content read before that moment is compared with content read now.
        Where it shows whole seconds, there is time enough to edit the file and to take the edit back.
        """
        packed = self._signatures.get(path)
        if packed is None:
            return False
        then = Signature(packed)
        if then.ctime_ns + then.granularity_ns() <= moment_ns:
            return False
        if self._from_the_future(then):
            return False
        coarse = then.granularity_ns() >= 1_000_000_000
        if coarse or then.read_at_ns >= moment_ns or then.ctime_ns >= moment_ns:
            return True
        before = self._content[path]
        self.forget(path)
        return self.content(path) != before

    def _from_the_future(self, then: Signature) -> bool:
        """Whether the file was last changed before the clock was set back, and so before this build.

        A change after that would have a ctime that the clock has reached by now. Only a local disk's ctime is of this
        machine's clock, and only while nobody sets that.
        """
        clock = time.time_ns() - time.monotonic_ns()
        steady = abs(clock - self._clock) < 10_000_000
        return steady and os.major(then.dev) != 0 and then.ctime_ns - then.granularity_ns() > time.time_ns()

    def known_before(self, path: bytes, moment_ns: int) -> bytes | None:
        """The version of path that was read before that moment; None if it was not."""
        version = self._own.get(path, self._content.get(path))
        packed = self._signatures.get(path)
        read_at = self._links_read_at.get(path, Signature(packed).read_at_ns if packed else moment_ns)
        return version if version and read_at < moment_ns else None

    def restore_time(self, path: bytes, version: bytes) -> None:
        """A file that was made again with the content it had before this build gets its old mtime back.

        Nothing here looks at it; other tools that do are not disturbed (design.md, rule 3).
        """
        former = self._former.get(path)
        if former is not None and former[0] == version:
            try:
                st = os.stat(path)
                if st.st_mtime_ns != former[1]:
                    os.utime(path, ns=(st.st_atime_ns, former[1]))
            except OSError:
                pass

    # What a build changes itself is told apart from what it has seen: changing.py.
    remove = staticmethod(remove)
    replace = staticmethod(replace)
    make_empty = staticmethod(make_empty)

    def still_same(self, path: bytes) -> bool:
        """Whether the file still is the one that content(path) read; True for what was never read."""
        packed = self._signatures.get(path)
        if packed is None:
            return True
        try:
            return signature(os.stat(path), 0)[:40] == packed[:40]
        except OSError:
            return False

    # -- what a path is, now --------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The clock that changed_since and the others compare with."""
        return time.time_ns()

    def is_directory(self, path: bytes) -> bool:
        """Whether a directory is there, links followed."""
        return os.path.isdir(path)

    def is_link(self, path: bytes) -> bool:
        """Whether the path itself is a symbolic link."""
        return os.path.islink(path)

    def is_there(self, path: bytes) -> bool:
        """Whether anything is there, a link that leads nowhere included."""
        return os.path.lexists(path)

    def is_program(self, path: bytes) -> bool:
        """Whether a search along PATH ends here."""
        return os.access(path, os.X_OK) and not os.path.isdir(path)

    def is_private(self, path: bytes) -> bool:
        """Whether only its owner may read this file, which is no program, though others may read what is made now."""
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return False
        return stat.S_ISREG(mode) and not mode & 0o100 and modes.is_private(mode, self._umask)

    def real(self, path: bytes) -> bytes:
        """The path without links in it."""
        return os.path.realpath(path)

    def below(self, path: bytes) -> Iterator[tuple[bytes, list[bytes], list[bytes]]]:
        """Each directory from path down, with the names of the directories and of the other files in it."""
        return os.walk(path)

    def linked_file(self, path: bytes) -> tuple[int, int] | None:
        """Device and inode of a file that has several names; None of any other."""
        try:
            st = os.lstat(path)
        except OSError:
            return None
        return (st.st_dev, st.st_ino) if st.st_nlink > 1 and stat.S_ISREG(st.st_mode) else None

    def touched_since(self, path: bytes, moment_ns: int) -> bool | None:
        """Whether the status of the path itself can have changed since; None when nothing is there."""
        try:
            return changed_since(os.lstat(path), moment_ns)
        except OSError:
            return None

    def read(self, path: bytes, most: int = -1) -> bytes | None:
        """The content of a regular file, at most so many bytes of it (-1: all); None when it can't be read."""
        try:
            with reading.open_plain(path) as file:
                return file.read(most)
        except OSError:
            return None
