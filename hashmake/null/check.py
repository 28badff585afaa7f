"""The null build: is everything as the last complete build left it? A small C program looks (../looker/hmlook.c)."""

import os
import struct
import time

from hashmake.errors import StateUnusable
from hashmake.null.manifest import ABSENT, LAZY, LISTED, LOOKS, READS

TYPE_CHECKING = False  # typing takes as long to load as a small null build
if TYPE_CHECKING:
    from hashmake.null.manifest import Manifest

LOOKER = "hmlook"
_COLUMNS = (READS, LOOKS, ABSENT, LISTED, LAZY)  # those that hold paths
_WHOLE = 1 << 20


class Check:
    """One look at the tree, and what it saw: who starts make after it need not read that again.

    since_ns  all was read after this moment
    compared  how many paths were looked at; 0: nothing is known of any
    """

    def __init__(self) -> None:
        self.since_ns = time.time_ns()
        self.compared = 0
        self._differences: list[tuple[int, int]] = []  # column and place

    def agrees(self, manifest: str, trust_ctime: bool = False) -> bool:
        """Whether the tree is as the manifest in this file says: nothing changed, make need not be started.

        False also where the file is missing or damaged. Raises StateUnusable where nobody can look. `trust_ctime`: what
        has the ctime that it had when it was read is not read again.
        """
        data = _looked([*(["-t"] if trust_ctime else []), manifest])
        if len(data) < 8:
            return False
        numbers = struct.unpack(f"={len(data) // 4}I", data)
        self.compared = numbers[0]
        self._differences = list(zip(numbers[2::2], numbers[3::2], strict=True))
        return not self._differences

    def changed(self, manifest: "Manifest") -> set[bytes]:
        """Paths that are not as the manifest says, which is the one that was looked at."""
        return {manifest[column][at] for column, at in self._differences}

    def same(self, manifest: "Manifest") -> list[tuple[bytes, bytes]]:
        """Files that were read and are as the manifest says: path and version."""
        if not self.compared:
            return []
        other = {at for column, at in self._differences if column == READS}
        rows = zip(manifest[READS], manifest[READS + 1], strict=True)
        return [row for at, row in enumerate(rows) if at not in other]


def _looked(words: list[str]) -> bytes:
    """What the program says; nothing where it can't."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = os.path.join(package, "interpose", LOOKER)
    out, inner = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, inner, 1)]
        pid = os.posix_spawn(program, [LOOKER, *words], os.environ, file_actions=actions)
    except OSError as error:
        os.close(out)
        raise StateUnusable(f"{program}: can't be started ({error.strerror}); reinstall hashmake") from error
    finally:
        os.close(inner)
    data = b""
    while piece := os.read(out, _WHOLE):
        data += piece
    os.close(out)
    _pid, status = os.waitpid(pid, 0)
    return b"" if status else data  # also where a file was cut short while it was read (SIGBUS)
