"""A Course: what the make processes of a composite step asked for, in order, and what they looked at themselves.

With it a step can be gone through again without make (judge/replay.py), as long as make would do the same again.
"""

import struct
from array import array
from typing import NamedTuple

from hashmake.model.packing import pack_list, unpack_list
from hashmake.model.result import ResultId

_HEAD = struct.Struct("<8I")
_CALL = struct.Struct("<IIQBI")
SEAL_SIZE = 16


class Call(NamedTuple):
    """A step that make asked for, or that came of it.

    result  number of the result that answered it
    block   number of the environment block it was asked for with
    recipe  what the lines of one recipe have in common; 0: that is not known. later: it is not the first of them
    echo    how make would have printed it; empty: not at all
    argv    the words where they are not those of the result, else empty
    seal    says that this user's hashmake has heard make ask for it (state/sealing.py)
    """

    result: ResultId
    block: int
    recipe: int
    later: bool
    echo: bytes
    argv: list[bytes]
    seal: bytes


class Course:
    """See the module's text.

    serial   its steps run one by one, whatever -j says
    block    number of the environment block of the composite itself, in the same evaluation
    facts    FactIds: what its own processes read and listed, also of what steps below had made
    looks    FactIds: whether what make looked at was there
    reread   PathIds of files that it, or a step below it, made, and that it read then
    decides  FactIds: contents of prerequisites by whose time make decided
    names    environment variables that its own processes looked up
    words    make's own words, where it is the goal's (without -j)
    goal     what it makes when no goal is named
    calls    the steps, in the order in which they ended
    """

    __slots__ = ("block", "calls", "decides", "facts", "goal", "looks", "names", "reread", "serial", "words")

    def __init__(self, block: int) -> None:
        self.block = block
        self.serial = False
        self.facts = array("I")
        self.looks = array("I")
        self.reread = array("I")
        self.decides = array("I")
        self.names: list[bytes] = []
        self.words: list[bytes] = []
        self.goal = b""
        self.calls: list[Call] = []

    def pack(self) -> bytes:
        """To bytes; docs/database.md."""
        columns = (self.facts, self.looks, self.reread, self.decides)
        lengths = map(len, columns)
        head = _HEAD.pack(self.block, self.serial, *lengths, len(self.calls), len(self.goal))
        calls = b"".join(_CALL.pack(c.result, c.block, c.recipe, c.later, len(c.argv)) for c in self.calls)
        texts = pack_list([text for c in self.calls for text in (c.echo, c.seal, *c.argv)])
        numbers = b"".join(column.tobytes() for column in columns)
        return b"".join((head, numbers, calls, self.goal, pack_list(self.names), pack_list(self.words), texts))

    @staticmethod
    def unpack(data: bytes) -> "Course":
        """From bytes. Raises struct.error or ValueError on a record that is cut short."""
        block, serial, *lengths, count, goal = _HEAD.unpack_from(data)
        course = Course(block)
        course.serial = bool(serial)
        at = _HEAD.size
        for column, length in zip((course.facts, course.looks, course.reread, course.decides), lengths, strict=True):
            column.frombytes(data[at : at + 4 * length])
            at += 4 * length
        heads = [_CALL.unpack_from(data, at + n * _CALL.size) for n in range(count)]
        at += count * _CALL.size
        course.goal = data[at : at + goal]
        course.names, at = unpack_list(data, at + goal)
        course.words, at = unpack_list(data, at)
        texts, _ = unpack_list(data, at)
        rest = iter(texts)
        for result, number, recipe, later, words in heads:
            echo, seal = next(rest, None), next(rest, None)
            argv = [word for _, word in zip(range(words), rest, strict=False)]
            if echo is None or seal is None or len(argv) != words:
                raise ValueError("a course that is cut short")
            course.calls.append(Call(ResultId(result), number, recipe, bool(later), echo, argv, seal))
        return course
