"""Makefiles that come through a descriptor: `make -f -`, `-f <(generate)`. Every null build passes through here.

Their text is in no file, so it is read before anything is decided, and make is given a file without a name in its
place, which it can be given again when it has to start anew.
"""

import os
import stat

from hashmake.model import digest

_PLACES = ("/dev/fd/", "/proc/self/fd/")


def descriptor(makefile: str) -> int | None:
    """Which descriptor this argument of -f stands for; None: it names a file."""
    if makefile in ("-", "/dev/stdin"):
        return 0
    for place in _PLACES:
        if makefile.startswith(place) and makefile[len(place) :].isdecimal():
            return int(makefile[len(place) :])
    return None


def take(fd: int) -> bytes:
    """The digest of what a descriptor gives, which then starts anew; a number used once where that can't be had."""
    try:
        if os.isatty(fd):
            return os.urandom(16)  # make reads what is being typed
        with open(os.memfd_create("makefile"), "w+b") as copy:
            text = bytearray()
            while piece := os.read(fd, 1 << 16):
                text += piece
            copy.write(text)
            copy.flush()
            os.dup2(copy.fileno(), fd)
    except OSError:
        return os.urandom(16)
    rewind(fd)
    return digest.of_bytes(bytes(text))


def rewind(fd: int) -> None:
    """Before another make reads it."""
    try:
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        pass  # it was not taken: a terminal


def gives_once(path: str) -> bool:
    """Whether a file is there that can't be read twice: a named pipe."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
