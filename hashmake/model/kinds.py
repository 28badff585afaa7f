"""Kinds of facts: what an access to a path tells of it."""

from hashmake.model import digest

# Weakest first: the stronger access wins (design.md, rule 0).
ABSENT = 1  # nothing is there
EXISTS = 2  # something is there
ACCESS = 3  # type and execute bit
STAT = 4  # what READ sees, but nobody has read it: comparing may go by what stat tells (disk/disk.py, looked)
LSTAT = 5  # the same of the path itself; a link's target
LIST = 6  # the names in a directory
READ = 7  # the content
NEVER = 8  # never holds: what was read can't be known
NAME = 9  # one entry of a table: what a reader that goes by names saw of it (judge/projector.py)

CONTENT = (READ, STAT, LSTAT, NAME)  # kinds that depend on what a file holds

KIND_NAMES = {
    ABSENT: "absent",
    EXISTS: "exists",
    ACCESS: "access",
    STAT: "stat",
    LSTAT: "link",
    LIST: "list",
    READ: "read",
    NEVER: "unknown",
    NAME: "name",
}

_THERE = b"E"


def as_seen(kind: int, version: bytes) -> bytes:
    """What an access of this kind sees of a version; ABSENT is seen by all as digest.ABSENT."""
    if kind in (READ, LIST, STAT, LSTAT) or not version:
        return version
    if kind == ACCESS:
        return digest.access(version)
    return _THERE
