"""The null build: is everything as the last complete build left it? A small C program looks (../looker/hmlook.c)."""

import os
import struct
import time

from hashmake.errors import StateUnusable
from hashmake.null.manifest import READS

TYPE_CHECKING = False  # typing takes as long to load as a small null build
if TYPE_CHECKING:
    from hashmake.null.manifest import Manifest

LOOKER = "hmlook"
_WHOLE = 1 << 20
_SAME = b"="  # what is said first where nothing differs
_LEAST = 8  # bytes


class Check:
    """One look at the tree, and what it saw: who starts make after it need not read that again.

    since_ns  all was read after this moment
    """

    def __init__(self) -> None:
        self.since_ns = time.time_ns()
        self._compared = 0
        self._differences: list[tuple[int, int]] = []  # column and place
        self._looking: tuple[int, int] | None = None  # a pipe, and the process that writes to it

    def agrees(self, manifest: str, trust_ctime: bool = False) -> bool:
        """Whether the tree is as the manifest in this file says: nothing changed, make need not be started.

        False also where the file is missing or damaged; False at the first difference, while others are looked for.
        Raises StateUnusable where nobody can look. `trust_ctime`: what has the ctime that it had when it was last read
        is not read again.
        """
        self._looking = _look([*(["-t"] if trust_ctime else []), manifest])
        return os.read(self._looking[0], 1) == _SAME and self.compared > 0 and not self._differences

    @property
    def compared(self) -> int:
        """How many paths were looked at; 0: nothing is known of any."""
        if self._looking is not None:
            data = _all_of(*self._looking)
            self._looking = None
            if len(data) >= _LEAST:
                numbers = struct.unpack(f"={len(data) // 4}I", data)
                self._compared = numbers[0]
                self._differences = list(zip(numbers[2::2], numbers[3::2], strict=True))
        return self._compared

    def changed(self, manifest: "Manifest") -> set[bytes]:
        """Paths that are not as the manifest says, which is the one that was looked at."""
        return {manifest[column][at] for column, at in self._differences} if self.compared else set()

    def same(self, manifest: "Manifest") -> list[tuple[bytes, bytes]]:
        """Files that were read and are as the manifest says: path and version."""
        if not self.compared:
            return []
        other = {at for column, at in self._differences if column == READS}
        rows = zip(manifest[READS], manifest[READS + 1], strict=True)
        return [row for at, row in enumerate(rows) if at not in other]


def _look(words: list[str]) -> tuple[int, int]:
    """The program at work: its output, its number."""
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
    return out, pid


def _all_of(out: int, pid: int) -> bytes:
    """What the program says; nothing where it can't tell."""
    data = b""
    while piece := os.read(out, _WHOLE):
        data += piece
    os.close(out)
    _pid, status = os.waitpid(pid, 0)
    return b"" if status else data
