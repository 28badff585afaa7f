"""Where the interposer is, and the launcher beside it."""

import os
import re

from hashmake.errors import StateUnusable

_NOT_IN_PRELOAD = re.compile(r"[\s:;$]")


def library_path() -> str:
    """The interposer, installed with this package."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(package, "interpose", "libhashmake.so")


def loadable(run_dir: str) -> str:
    """The interposer under a name that LD_PRELOAD can hold: one by which it lies in the run directory, if need be.

    Spaces and colons separate the names in it, and ld.so replaces what begins with `$`. Raises StateUnusable.
    """
    path = library_path()
    if not _NOT_IN_PRELOAD.search(path):
        return path
    place = os.path.join(run_dir, "lib")
    if _NOT_IN_PRELOAD.search(place):
        raise StateUnusable(f"{path}: LD_PRELOAD can't name it, nor {place}; install hashmake below another directory")
    os.mkdir(place, 0o700)
    for name in (os.path.basename(path), "hmstep"):
        os.symlink(os.path.join(os.path.dirname(path), name), os.path.join(place, name))
    return os.path.join(place, os.path.basename(path))
