"""A Result: what one step did, once: what it read, what it left behind, what it printed."""

import struct
from array import array
from typing import NewType

from hashmake.model.printed import ERR, ONE, OUT
from hashmake.model.tables import PathId, ValueId

ResultId = NewType("ResultId", int)

RECIPE = b"R"
SHELL = b"F"
ROOT = b"T"

COMPOSITE = 1  # a make process ran in it: steps of their own lie below
UNSEEN = 2  # not fully seen: never current
FAILED = 4  # exit status not 0 (of a recipe): never current
QUERY = 16  # a root that makes no files but makefiles: it is asked for what it prints
KEPT = 1 << 15  # in modes
PLACED = 64  # what it left may go by where its tree lies: right only there
ELSEWHERE = 128  # another tree's: which temporaries its step used is not known
SAYS = 32  # a root in which make itself started steps that make no files

_HEAD = struct.Struct("<16scBBiIIIQIIIIIIIIII")


class Result:
    """One remembered run of a step.

    key      the step's identity (16 bytes)
    kind     RECIPE, SHELL or ROOT
    flags    COMPOSITE | UNSEEN | FAILED
    code     exit status
    cwd      PathId of the directory it ran in
    program  path of the program as make gave it, then the arguments: list of bytes
    env      number of the set of environment facts (name, value) it depends on; see envs in recording.py
    full_env number of the complete environment block it ran with (to run it again)
    facts    FactIds that held when it started: array "I", sorted. For a composite: of all that lies below, at entry
    outs     flat array "I" of (path, version before, version after), in the order of the last write of each path
    modes    array "H": KEPT and the permission bits of what each of the outs left, where it can be restored; else 0.
             Empty: this result can't be restored
    temps    PathIds where products lie that it wrote, and that were not there before nor after (array "I")
    kids     ResultIds of the steps directly below, in order of completion (composite only)
    steps    how many steps lie in it: plain ones, and composites that wrote files themselves (1 for a plain step)
    wall_us  wall time, us
    build    number of the build that made it
    stdout   what $(shell) returned, or what a recipe printed
    stderr   ... on standard error
    kept     which of the two are kept (model/printed.py)
    why      for UNSEEN: what could not be followed
    """

    __slots__ = (
        "argv",
        "build",
        "code",
        "cwd",
        "env",
        "facts",
        "flags",
        "full_env",
        "id",
        "kept",
        "key",
        "kids",
        "kind",
        "modes",
        "outs",
        "stderr",
        "stdout",
        "steps",
        "temps",
        "wall_us",
        "why",
    )

    def __init__(self, key: bytes, kind: bytes, cwd: PathId, argv: list[bytes]) -> None:
        self.id = ResultId(0)
        self.key = key
        self.kind = kind
        self.flags = 0
        self.code = 0
        self.cwd = cwd
        self.argv = argv
        self.env = 0
        self.full_env = 0
        self.facts = array("I")
        self.outs = array("I")
        self.modes = array("H")
        self.kids = array("I")
        self.temps = array("I")
        self.steps = 1
        self.wall_us = 0
        self.build = 0
        self.kept = 0
        self.stdout = b""
        self.stderr = b""
        self.why = b""

    def outputs(self) -> list[tuple[PathId, ValueId, ValueId]]:
        """(path, version before, version after) of each path it wrote."""
        o = self.outs
        return list(zip(o[0::3], o[1::3], o[2::3], strict=True))  # type: ignore[arg-type]  # NewTypes over int

    def silent(self) -> bool:
        """Whether this recipe line is known to have left nothing and printed nothing: to run it is to do nothing."""
        ended_well = self.kind == RECIPE and not self.code and not self.flags & (UNSEEN | FAILED)
        return ended_well and not self.outs and self.kept in (OUT | ERR, ONE) and not self.stdout and not self.stderr

    def answers(self) -> bool:
        """Whether this $(shell) left nothing but an answer; one that gave none may be there for an effect."""
        seen = self.kind == SHELL and not self.flags & (UNSEEN | COMPOSITE)
        answered = bool(self.stdout) or self.argv[0].endswith(b"/mkdir")  # what it is there for is there already
        return seen and answered and not self.outs and self.kept & ERR != 0 and not self.stderr

    def pack(self) -> bytes:
        """To bytes; the layout is docs/database.md's."""
        argv = b"\0".join(self.argv)
        head = _HEAD.pack(
            self.key,
            self.kind,
            self.flags,
            self.kept,
            self.code,
            self.cwd,
            self.env,
            self.full_env,
            self.wall_us,
            self.build,
            self.steps,
            len(self.facts),
            len(self.outs),
            len(self.kids),
            len(self.modes),
            len(self.temps),
            len(argv),
            len(self.stdout),
            len(self.stderr),
        )
        columns = [c.tobytes() for c in (self.facts, self.outs, self.kids, self.modes, self.temps)]
        return b"".join((head, *columns, argv, self.stdout, self.stderr, self.why))

    @staticmethod
    def unpack(rid: ResultId, data: bytes) -> "Result":
        """From bytes. Raises struct.error or ValueError on a record that is cut short."""
        head = _HEAD.unpack_from(data)
        r = Result(head[0], head[1], PathId(head[5]), [])
        r.id = rid
        r.flags, r.kept, r.code, r.env, r.full_env = head[2], head[3], head[4], head[6], head[7]
        r.wall_us, r.build, r.steps = head[8], head[9], head[10]
        at = _HEAD.size
        for column, length in zip((r.facts, r.outs, r.kids, r.modes, r.temps), head[11:16], strict=True):
            size = length * column.itemsize
            column.frombytes(data[at : at + size])
            at += size
        if r.modes and 3 * len(r.modes) != len(r.outs):
            raise ValueError("modes")
        texts = []
        for length in head[16:19]:
            texts.append(data[at : at + length])
            at += length
        r.argv, r.stdout, r.stderr, r.why = texts[0].split(b"\0"), texts[1], texts[2], data[at:]
        return r
