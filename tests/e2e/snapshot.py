"""What a tree holds, as values that can be compared; knows nothing of builds."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATE_DIRECTORY = ".hashmake"


@dataclass(frozen=True)
class Entry:
    """One name: what a user can tell about it, times excepted."""

    kind: str
    content: str
    executable: bool
    twin: str  # the first name with the same inode: hard links keep their relation


@dataclass(frozen=True)
class Difference:
    """One name that is not as in a clean build."""

    path: str
    built: Entry | None
    clean: Entry | None


def names(tree: Path) -> Iterator[str]:
    """Every name below `tree` in a fixed order, the tool's own state left out."""
    for directory, below, files in os.walk(tree):
        below[:] = sorted(name for name in below if name != STATE_DIRECTORY)
        for name in sorted(below + files):
            yield os.path.relpath(os.path.join(directory, name), tree)


def contents(tree: Path) -> dict[str, Entry]:
    """Every name with what it is."""
    first_name: dict[int, str] = {}
    entries: dict[str, Entry] = {}
    for name in names(tree):
        info = os.lstat(tree / name)
        directory = stat.S_ISDIR(info.st_mode)
        twin = name if directory else first_name.setdefault(info.st_ino, name)
        executable = stat.S_ISREG(info.st_mode) and bool(info.st_mode & stat.S_IXUSR)
        entries[name] = Entry(_kind(info.st_mode), _content(tree / name, info.st_mode), executable, twin)
    return entries


def identities(tree: Path) -> dict[str, tuple[int, int]]:
    """Inode and modification time of everything that is not a directory: it changes when something is written."""
    infos = {name: os.lstat(tree / name) for name in names(tree)}
    return {name: (info.st_ino, info.st_mtime_ns) for name, info in infos.items() if not stat.S_ISDIR(info.st_mode)}


def differences(built: dict[str, Entry], clean: dict[str, Entry], extra: tuple[str, ...]) -> list[Difference]:
    """Where a tree differs from the clean one; names in `extra` may be there although the clean tree has none."""
    found = []
    for name in sorted(built.keys() | clean.keys()):
        ours, theirs = built.get(name), clean.get(name)
        if ours != theirs and not (theirs is None and name in extra):
            found.append(Difference(name, ours, theirs))
    return found


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _content(path: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if not stat.S_ISREG(mode):
        return ""
    data = path.read_bytes()
    return repr(data) if len(data) < 200 else f"{len(data)} bytes, sha256 {sha256(data).hexdigest()}"
