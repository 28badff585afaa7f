"""A secret of this user: texts that were sealed with it were written by this user's hashmake, on this machine.

A recording may come from anywhere (an archive, a restored cache). What it names is never started because it names it
(docs/security.md), but because make was heard to ask for it; that is what a seal says.
"""

import hashlib
import os
from collections.abc import Callable

from hashmake.model.course import SEAL_SIZE
from hashmake.state.directory import private

_SIZE = 32


def sealer(trees: tuple[str, ...]) -> Callable[[bytes], bytes] | None:
    """What gives a text its seal; None where there is no place for a secret outside of these directories."""
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    if not os.path.isabs(base):
        return None
    directory = os.path.join(base, "hashmake")
    path = os.path.join(directory, "secret")
    if any((os.path.realpath(directory) + "/").startswith(tree.rstrip("/") + "/") for tree in trees):
        return None
    try:
        key = _read(path)
        if key is None:
            os.makedirs(directory, 0o700, exist_ok=True)
            _make(path)
            key = _read(path)
    except OSError:
        return None
    if key is None:
        return None
    return lambda text: hashlib.blake2b(text, digest_size=SEAL_SIZE, key=key).digest()


def _read(path: str) -> bytes | None:
    """The secret, if it is this user's alone. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        st = os.fstat(fd)
        key = file.read(_SIZE + 1)
    return key if st.st_uid == os.geteuid() and not st.st_mode & 0o077 and len(key) == _SIZE else None


def _make(path: str) -> None:
    """Raises OSError. Of two builds that make it at once both read the one that came first."""
    aside = f"{path}.{os.getpid()}"
    with private(aside) as file:
        file.write(os.urandom(_SIZE))
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(aside)
