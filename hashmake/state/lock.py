"""The lock of a state directory: one build at a time; it dies with its holder."""

import fcntl
import os
import sys
import time

from hashmake.errors import StateUnusable

TYPE_CHECKING = False  # typing takes as long to load as a small null build
if TYPE_CHECKING:
    from collections.abc import Callable

_TRIES = 100  # to open it in a directory that other builds make and remove
_LOOKS = 50  # for the number of who holds the lock, 10 ms apart


class Lock:
    """See the module's text: held from `take` or `hold` until `release` or the process's death."""

    def __init__(self, state_path: str) -> None:
        self._state = state_path
        self._path = os.path.join(state_path, "lock")
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._fd >= 0

    def take(self, make: "Callable[[], None]") -> None:
        """Take the lock; while another build holds it, wait, and say so once. Raises StateUnusable.

        `make`: makes the directory once more, which another build may just have removed.
        """
        fd = self._flocked(make)
        while not self._is_lock(fd):
            # Who held it had made the directory, made nothing else, and has removed it again.
            os.close(fd)
            make()
            fd = self._flocked(make)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError:
            pass  # no room: the lock holds all the same, only who waits for it can't say for whom
        self._fd = fd

    def _wait(self, fd: int) -> None:
        """Wait for the lock, and say for whom, unless it is free in a moment."""
        holder = b""
        for _ in range(_LOOKS):
            time.sleep(0.01)  # first: until then the number may be that of one who was killed
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 32, 0)
                if holder.endswith(b"\n"):
                    break  # else it has only just been taken, and the number is not written yet
            else:
                return
        pid = holder.decode("ascii", "replace").strip() or "unknown"
        print(f"hashmake: another build (pid {pid}) is at work in {self._state}; waiting for it", file=sys.stderr)
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _flocked(self, make: "Callable[[], None]") -> int:
        try:
            for tries in range(_TRIES, 0, -1):
                try:
                    fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                    break
                except FileNotFoundError:
                    if tries == 1:
                        raise
                    make()
        except OSError as error:
            raise StateUnusable(f"{self._state}: {error.strerror}; give another place with --state-dir") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait(fd)
        except OSError as error:
            os.close(fd)
            raise StateUnusable(f"{self._state}: no locks here ({error.strerror}); use --state-dir") from error
        return fd

    def _is_lock(self, fd: int) -> bool:
        """Whether this is the lock that another build would find."""
        try:
            return os.path.samestat(os.fstat(fd), os.lstat(self._path))
        except OSError:
            return False

    def hold(self) -> None:
        """Take the lock without writing into the directory; wait as `lock` does. Raises StateUnusable."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            raise StateUnusable(f"{self._state}: {error.strerror}; run `hashmake build` first") from error
        self._fd = fd

    def release(self) -> None:
        """Give the lock back."""
        if self._fd >= 0:
            try:
                os.ftruncate(self._fd, 0)  # the next holder's number is not this one
            except OSError:
                pass  # `hold` may not write
            os.close(self._fd)
            self._fd = -1
