"""The changes that a build makes to files itself: leftovers go, the text of a table is replaced, stamps are made."""

import os
import stat


def remove(path: bytes, places: tuple[bytes, ...]) -> bool:
    """Remove a file, not a directory, that really lies below one of these places; whether it did.

    The name comes from a record: one that leads elsewhere, also through a link, is left alone.
    """
    parent = os.path.dirname(path)
    if os.path.realpath(parent) != parent or not any((parent + b"/").startswith(p + b"/") for p in places):
        return False
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return False
        os.unlink(path)
    except OSError:
        return False
    return True


def replace(path: bytes, content: bytes) -> bool:
    """Put other content in the place of a file, all at once, its mode kept; whether that could be done."""
    aside = path + b".hashmake"
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(content)
        os.rename(aside, path)
    except OSError:
        return False
    return True


def make_empty(path: bytes) -> bool:
    """Make an empty file, with its directory; whether there is one now."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666))
    except OSError:
        return False
    return True
