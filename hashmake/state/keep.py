"""What a person wrote is never destroyed: copies of products that were changed by hand, and paths that are a person's.

In the state directory: `kept/BUILD/PATH` holds a copy of what a build replaced, PATH relative to the output directory
(absolute paths elsewhere, without their first slash); `mine` holds the paths that are a person's ("+") and those that
have been given back ("-") since the last build, each with its letter, ended by NUL.
"""

import os
import shutil

from hashmake.disk import reading
from hashmake.state.directory import private

_PLUS, _MINUS = b"+", b"-"
# Nobody writes these by hand: ELF files and archives, as compilers, linkers and ar make them.
_COMPILED = (b"\x7fELF", b"!<arch>", b"!<thin>")


def load(state_path: str) -> dict[bytes, bool]:
    """Each path of which somebody has said something: True where it is a person's, False where it was given back."""
    try:
        with open(os.path.join(state_path, "mine"), "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return {}
    return {e[1:]: e[:1] == _PLUS for e in entries if e[:2] in (b"+/", b"-/")}


def save(state_path: str, paths: dict[bytes, bool]) -> None:
    """The inverse of load. Raises OSError."""
    with private(os.path.join(state_path, "mine")) as file:
        file.write(b"".join((_PLUS if mine else _MINUS) + path + b"\0" for path, mine in sorted(paths.items())))


def latest_copy(state_path: str, out: str, path: bytes) -> bytes | None:
    """The newest copy that was kept of a path."""
    top = os.path.join(os.fsencode(state_path), b"kept")
    try:
        builds = sorted((int(name) for name in os.listdir(top) if name.isdigit()), reverse=True)
    except OSError:
        return None
    copies = (os.path.join(top, b"%d" % build, _relative(out, path)) for build in builds)
    return next((copy for copy in copies if os.path.lexists(copy)), None)


def _relative(out: str, path: bytes) -> bytes:
    prefix = os.fsencode(out).rstrip(b"/") + b"/"
    return path[len(prefix) :] if path.startswith(prefix) else path.lstrip(b"/")


class Keeper:
    """Copies, made before one build, of what it may replace; those that turn out not to be needed go again.

    mine  paths that are a person's; given_back: those that are the build's again from now on
    """

    def __init__(self, state_path: str, out: str, build: int) -> None:
        self._state_path = state_path
        self._out = out
        self._top = os.path.join(os.fsencode(state_path), b"kept", b"%d" % build)
        self._copies: dict[bytes, tuple[bytes, bytes]] = {}  # path -> its copy, the version of both
        said = load(state_path)
        self.mine = frozenset(path for path, mine in said.items() if mine)
        self.given_back = frozenset(said.keys() - self.mine)

    def watch(self, path: bytes, version: bytes) -> None:
        """Somebody wrote this version of a path: a build that replaces it must not be the end of it."""
        copy = os.path.join(self._top, _relative(self._out, path))
        try:
            if path in self._copies or _is_compiled(path):
                return
            os.makedirs(os.path.dirname(copy), 0o700, exist_ok=True)
            shutil.copy2(path, copy)
        except OSError:
            return  # no room, or not to be read: then the build can't replace it without a word either
        self._copies[path] = (copy, version)

    def holds(self, path: bytes) -> bool:
        """Whether there is a copy of what lay on this path."""
        return path in self._copies

    def replaced(self) -> list[tuple[bytes, bytes]]:
        """Paths that do not hold any more what was copied, with their copies; the other copies are removed."""
        lost = []
        for path, (copy, version) in sorted(self._copies.items()):
            if reading.of_path(path)[0] != version:
                lost.append((path, copy))
                continue
            try:
                os.unlink(copy)
                os.removedirs(os.path.dirname(copy))
            except OSError:
                pass  # other copies lie there
        self._copies.clear()
        return lost

    def put_back(self, path: bytes, copy: bytes) -> bool:
        """A person's path was replaced all the same: its content comes back. Whether that could be done."""
        try:
            shutil.copy2(copy, path)
        except OSError:
            return False
        return True

    def forget_given_back(self) -> None:
        """The build has taken over what was given back."""
        if self.given_back:
            try:
                save(self._state_path, dict.fromkeys(self.mine, True))
            except OSError:
                pass  # it is taken over once more


def _is_compiled(path: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(8).startswith(_COMPILED)
