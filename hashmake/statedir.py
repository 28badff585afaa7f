"""The state directory: where it is, who may use it, one build at a time in it."""

import fcntl
import os
import stat
import sys

from hashmake import digest
from hashmake.errors import StateUnusable

NAME = ".hashmake"
_README = """\
hashmake keeps here what it knows of the builds in this tree. It belongs to hashmake; deleting it is always safe, the
next build then starts from nothing. See `hashmake status`.
"""


class StateDirectory:
    """Paths inside, and the lock: held from `lock` until `release` or the process's death."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.database = os.path.join(path, "db")
        self._lock_fd = -1
        self.made = False
        self.aside = self.database + ".damaged"
        self._seal = os.path.join(path, "seal")

    @property
    def locked(self) -> bool:
        """Whether this process holds the lock."""
        return self._lock_fd >= 0

    def exists(self) -> bool:
        """Whether an earlier build left state here."""
        return os.path.isdir(self.database)

    def make(self) -> None:
        """Create it, private to the user. Raises StateUnusable."""
        try:
            try:
                os.mkdir(self.path, 0o700)
                self.made = True
                with open(os.path.join(self.path, "README"), "w") as readme:
                    readme.write(_README)
            except FileExistsError:
                pass
            os.makedirs(self.database, 0o700, exist_ok=True)
        except OSError as error:
            raise StateUnusable(f"{self.path}: {error.strerror}; give another place with --state-dir") from error
        self.check()

    def check(self) -> None:
        """Refuse a directory that another user owns or may write. Raises StateUnusable."""
        st = os.stat(self.path)
        if not stat.S_ISDIR(st.st_mode):
            raise StateUnusable(f"{self.path}: not a directory; move it away or use --state-dir")
        if st.st_uid != os.geteuid():
            raise StateUnusable(f"{self.path}: belongs to user {st.st_uid}; use --state-dir for a place of your own")
        if st.st_mode & 0o022:
            raise StateUnusable(f"{self.path}: others may write to it; run chmod go-w {self.path}")

    def lock(self) -> None:
        """Take the lock; while another build holds it, wait, and say so once. Raises StateUnusable."""
        try:
            fd = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnusable(f"{self.path}: {error.strerror}; give another place with --state-dir") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            print(f"hashmake: another build (pid {holder}) is at work in {self.path}; waiting for it", file=sys.stderr)
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            os.close(fd)
            raise StateUnusable(f"{self.path}: no locks here ({error.strerror}); use --state-dir") from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        self._lock_fd = fd

    def release(self) -> None:
        """Give the lock back."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # The seal is the digest of the whole database file at the end of a build that ended in order. Where it fits, LMDB
    # can be trusted with the file; a damaged one would take the process down with SIGBUS or abort().

    def sealed(self) -> bool:
        """Whether the database is, byte for byte, what the last build left."""
        try:
            with open(self._seal, "rb") as seal:
                return seal.read() == digest.of_file(os.fsencode(os.path.join(self.database, "data.mdb")))[0]
        except OSError:
            return False

    def seal(self) -> None:
        """The build ended in order and the database is closed."""
        try:
            with open(self._seal, "wb") as seal:
                seal.write(digest.of_file(os.fsencode(os.path.join(self.database, "data.mdb")))[0])
        except OSError:
            pass  # the next build then looks at every record first

    def break_seal(self) -> None:
        """The database is about to change."""
        try:
            os.unlink(self._seal)
        except FileNotFoundError:
            pass

    def unmake(self) -> None:
        """Remove a directory that this build made and that nothing worth keeping came into."""
        if self.made:
            _remove_tree(self.path)
            self.made = False

    def set_aside(self, why: str) -> None:
        """Move a database that can't be believed out of the way, and say so."""
        if os.path.exists(self.aside):
            _remove_tree(self.aside)
        os.rename(self.database, self.aside)
        os.mkdir(self.database, 0o700)
        print(f"hashmake: {self.database}: {why}; set aside as {self.aside}, starting from nothing", file=sys.stderr)


def _remove_tree(path: str) -> None:
    for where, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(where, name))
        for name in directories:
            os.rmdir(os.path.join(where, name))
    os.rmdir(path)


def remove_run_directory(path: str) -> None:
    """Remove what a build left in its run directory; missing is fine."""
    if os.path.isdir(path):
        _remove_tree(path)
