"""The state directory: what lies in it, and who may use it."""

import errno
import os
import stat
import struct
import sys

from hashmake.disk import reading
from hashmake.disk.signature import signature
from hashmake.errors import StateUnusable, UserError
from hashmake.model.packing import U32, pack_list, unpack_list
from hashmake.state.lock import Lock
from hashmake.state.schema import VERSION

TYPE_CHECKING = False  # typing takes as long to load as a small null build
if TYPE_CHECKING:
    from typing import BinaryIO

NAME = ".hashmake"
_TRIES = 100  # to make a directory that other builds make and remove
_README = """\
hashmake keeps here what it knows of the builds in this tree. It belongs to hashmake; deleting it is always safe, the
next build then starts from nothing. See `hashmake status`.
"""


def private(path: str, how: int = os.O_TRUNC) -> "BinaryIO":
    """Open a file of the state for writing, from its beginning or O_APPEND: for its owner alone, whatever the umask."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb")


class StateDirectory:
    """Paths inside, and the lock: held from `lock` until `release` or the process's death."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.database = os.path.join(path, "db")
        self._lock = Lock(path)
        self.made = False
        self.aside = self.database + ".damaged"
        self._seal = os.path.join(path, "seal")
        self._doubt = os.path.join(path, "doubt")

    @property
    def locked(self) -> bool:
        """Whether this process holds the lock."""
        return self._lock.held

    def exists(self) -> bool:
        """Whether an earlier build left state here."""
        return os.path.isdir(self.database)

    def make(self) -> None:
        """Create it, private to the user. Raises StateUnusable."""
        try:
            for tries in range(_TRIES, 0, -1):
                os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
                try:
                    self._make()
                    break
                except FileNotFoundError:
                    if tries == 1:
                        raise  # a link that leads to nothing; else a build that had made it has just removed it again
        except OSError as error:
            if error.errno == errno.ENOSPC:
                # Plain make would leave torn products, and there is not even room to note that.
                raise UserError(f"{self.path}: {error.strerror}; make room and run the same command again") from error
            raise StateUnusable(f"{self.path}: {error.strerror}; give another place with --state-dir") from error
        self.check()

    def _make(self) -> None:
        try:
            os.mkdir(self.path, 0o700)
            self.made = True
            with private(os.path.join(self.path, "README")) as readme:
                readme.write(_README.encode())
        except FileExistsError:
            pass
        try:
            os.mkdir(self.database, 0o700)
        except FileExistsError:
            # One look: between two of them another build may remove it and make it again.
            try:
                there = os.stat(self.database)
            except FileNotFoundError:
                if os.path.islink(self.database):
                    raise  # one that leads to nothing
            else:
                if not stat.S_ISDIR(there.st_mode):
                    raise

    def check(self) -> None:
        """Refuse a directory of which another user owns or may write anything. Raises StateUnusable."""
        self._check(self.path)
        for directory in (self.path, self.database, os.path.join(self.path, "complete")):
            try:
                names = os.listdir(directory)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateUnusable(
                    f"{directory}: {error.strerror}; use --state-dir for a place of your own"
                ) from error
            for name in names:
                self._check(os.path.join(directory, name), inside=True)

    def _check(self, path: str, inside: bool = False) -> None:
        try:
            itself = os.lstat(path)
        except FileNotFoundError:
            return  # another build, which holds the lock, has just removed it
        if inside and stat.S_ISLNK(itself.st_mode):
            raise StateUnusable(f"{path}: a link, and what it leads to is not hashmake's; remove it")
        try:
            st = os.stat(path) if stat.S_ISLNK(itself.st_mode) else itself
        except OSError as error:
            raise StateUnusable(f"{path}: {error.strerror}; use --state-dir for a place of your own") from error
        if not inside and not stat.S_ISDIR(st.st_mode):
            raise StateUnusable(f"{path}: not a directory; move it away or use --state-dir")
        for owner in (itself.st_uid, st.st_uid):  # of a link to it, too: who owns the link chooses where it leads
            if owner != os.geteuid():
                raise StateUnusable(f"{path}: belongs to user {owner}; use --state-dir for a place of your own")
        if st.st_mode & 0o022:
            raise StateUnusable(f"{path}: others may write to it; run chmod -R go-w {self.path}")

    def lock(self) -> None:
        """Take the lock; while another build holds it, wait, and say so once. Raises StateUnusable."""
        self._lock.take(self.make)

    def hold(self) -> None:
        """Take the lock without writing into the directory; wait as `lock` does. Raises StateUnusable."""
        self._lock.hold()

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    # What was asked for last, and the proof that it was asked for here: a state directory that came with a tree can't
    # know which inode and change time its README would get. Else a tree could choose what `hashmake verify` starts.

    def remember(self, start: str, words: list[str]) -> None:
        """Note from where hashmake was started, and with which words."""
        text = b"\0".join([self._origin(), *map(os.fsencode, [start, *words])])
        path = os.path.join(self.path, "last")
        try:
            with open(path, "rb") as last:
                if last.read() == text:
                    return
        except OSError:
            pass
        try:
            with private(path) as last:
                last.write(text)
        except OSError:
            pass  # whoever needs it asks the user

    def remembered(self) -> tuple[str, list[str]] | None:
        """What `remember` noted; None when that is not known, or was not noted in this very directory."""
        try:
            with open(os.path.join(self.path, "last"), "rb") as last:
                origin, start, *words = last.read().split(b"\0")
        except (OSError, ValueError):
            return None
        if not origin or origin != self._origin():
            return None
        return os.fsdecode(start), [os.fsdecode(w) for w in words]

    def _origin(self) -> bytes:
        try:
            st = os.lstat(os.path.join(self.path, "README"))
        except OSError:
            return b""
        return b"%d %d %d" % (st.st_dev, st.st_ino, st.st_ctime_ns)

    # The seal is made when a build has ended in order: the digest of the whole database file, where it lay and
    # when it was changed, and the number of that build. Where the digest fits, LMDB can be trusted with the file; a
    # damaged one would take the process down with SIGBUS or abort().

    def sealed(self) -> bool:
        """Whether the database is, byte for byte, what the last build left."""
        found = self._read_seal()
        return found is not None and found[2] == self._version()

    def last_build(self) -> int | None:
        """The number of the last build that was no null build; None: it did not end in order, or has not ended.

        None also where the database is not as that build left it: a null build does not open it, but reports do.
        """
        found = self._read_seal()
        if found is None or (found[1] != self._identity() and found[2] != self._version()):
            return None
        return found[0]

    def seal(self, build: int = 0) -> None:
        """The build with this number ended in order and the database is closed."""
        try:
            with private(self._seal) as seal:
                seal.write(pack_list([U32.pack(build) + U32.pack(VERSION), self._identity(), self._version()]))
        except OSError:
            pass  # the next build then looks at every record first

    def _read_seal(self) -> tuple[int, bytes, bytes] | None:
        """The number of the build, and the database file as it was; None: there is no seal that is ours."""
        try:
            with open(self._seal, "rb") as seal:
                head, identity, version = unpack_list(seal.read())[0]
        except (OSError, ValueError, struct.error):
            return None
        return (U32.unpack(head[:4])[0], identity, version) if head[4:] == U32.pack(VERSION) else None

    def _identity(self) -> bytes:
        try:
            return signature(os.stat(os.path.join(self.database, "data.mdb")), 0)
        except OSError:
            return b""

    def _version(self) -> bytes:
        return reading.of_file(os.fsencode(os.path.join(self.database, "data.mdb")))[0]

    def break_seal(self) -> None:
        """The database is about to change."""
        try:
            os.unlink(self._seal)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            _remove_tree(self._seal)

    # A build that went on as plain make left what is not recorded, torn if it failed (on a full disk most likely). An
    # empty file says so; there is room for that nearly always.

    def doubt(self, on: bool) -> None:
        """Say that plain make was at work in the tree, or that this has been taken into account."""
        try:
            if not on:
                os.unlink(self._doubt)
                return
            if not os.path.lexists(self.path):
                os.mkdir(self.path, 0o700)  # it was unmade
            self.check()
            os.close(os.open(self._doubt, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except (OSError, StateUnusable):
            pass  # what is refused is not written to

    def doubted(self) -> bool:
        """Whether plain make was at work since the last build that was recorded."""
        return os.path.exists(self._doubt)

    def unmake(self) -> None:
        """Remove a directory that this build made and that nothing worth keeping came into."""
        if self.made:
            # All at once: another build that just comes in must find either all of it or nothing.
            gone = f"{self.path}.{os.getpid()}"
            try:
                os.rename(self.path, gone)
                _remove_tree(gone)
            except OSError:
                pass  # it is state like any other
            self.made = False

    def set_aside(self, why: str) -> None:
        """Move a database that can't be believed out of the way, and say so."""
        if os.path.exists(self.aside):
            _remove_tree(self.aside)
        os.rename(self.database, self.aside)
        os.mkdir(self.database, 0o700)
        print(f"hashmake: {self.database}: {why}; set aside as {self.aside}, starting from nothing", file=sys.stderr)


def _remove_tree(path: str) -> None:
    from hashmake.disk.removing import remove_tree  # no null build removes anything

    remove_tree(path)
