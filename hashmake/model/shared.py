"""What trees tell each other of a step: which paths it depends on, and what it left where these are as they were.

In two levels, so that who looks asks for little: a step has few sets of paths, and what they hold now names the result
(as the Remote Execution API's caches of clang and of Bazel's include scanning do). Pure: bytes to values and back.
"""

import struct
import zlib
from typing import NamedTuple

from hashmake.model import digest
from hashmake.model.roots import ROOTS

VERSION = b"2"
MOVED = 1 << 14  # in a mode: the content is kept with its roots said as all trees say them, and named so
_KINDS = 64  # a letter for each kind of fact
_COUNT = struct.Struct("<I")


class Questions(NamedTuple):
    """What a step looked at.

    env    the facts about its environment (envfacts.py), roots said as all trees say them
    asked  (kind of fact, path as all trees say it, name of an entry or empty) of each, sorted
    """

    env: bytes
    asked: list[bytes]

    @staticmethod
    def packed(env: bytes, asked: bytes) -> bytes:
        """To bytes; `asked`: the questions, NUL-joined."""
        return zlib.compress(pack([VERSION, env]) + asked, 1)

    @staticmethod
    def unpack(data: bytes) -> "Questions":
        """From bytes. Raises ValueError."""
        try:
            text = zlib.decompress(data)
            end = _COUNT.size + len(VERSION)
            (length,) = _COUNT.unpack_from(text, end)
        except (zlib.error, struct.error) as error:
            raise ValueError(str(error)) from error
        start = end + _COUNT.size
        if text[:end] != pack([VERSION]) or start + length > len(text):
            raise ValueError("questions")
        asked = text[start + length :]
        return Questions(text[start : start + length], asked.split(b"\0") if asked else [])


def question(kind: int, said: bytes, entry: bytes) -> bytes:
    """One of Questions.asked: without NUL."""
    return bytes([kind + _KINDS]) + said + (b"\2" + entry if entry else b"")


def asked(question: bytes) -> tuple[int, bytes, bytes]:
    """Kind, path and entry. Raises ValueError."""
    if len(question) < 2 or question[0] < _KINDS:
        raise ValueError("question")
    said, _, entry = question[1:].partition(b"\2")
    return question[0] - _KINDS, said, entry


class Left(NamedTuple):
    """What a step left, its roots said as all trees say them.

    outs  (path, version before, version after, mode of Result.modes) of each, in order
    """

    code: int
    kept: int
    wall_us: int
    outs: list[tuple[bytes, bytes, bytes, int]]
    stdout: bytes
    stderr: bytes

    def pack(self) -> bytes:
        """To bytes."""
        head = struct.pack("<iBI", self.code, self.kept, self.wall_us)
        flat = [part for path, pre, post, mode in self.outs for part in (path, pre, post, mode.to_bytes(2, "little"))]
        data = pack([VERSION, head, self.stdout, self.stderr, *flat])
        return digest.of_bytes(data) + data

    @staticmethod
    def unpack(data: bytes) -> "Left":
        """From bytes. Raises ValueError."""
        if digest.of_bytes(data[16:]) != data[:16]:
            raise ValueError("damaged")
        try:
            version, head, out, err, *flat = unpack(data[16:])
            code, kept, wall_us = struct.unpack("<iBI", head)
        except struct.error as error:
            raise ValueError(str(error)) from error
        if version != VERSION or len(flat) % 4:
            raise ValueError("left")
        rows = zip(flat[0::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        outs = [(path, pre, post, int.from_bytes(mode, "little") & 0xFFFF) for path, pre, post, mode in rows]
        return Left(code, kept, wall_us, outs, out, err)


def sum256(data: bytes) -> bytes:
    """What names data among machines: SHA-256, the one digest that all servers of the Remote Execution API share."""
    import hashlib  # not where nobody else is asked: it takes 10 ms

    return hashlib.sha256(data).digest()


class Seen(NamedTuple):
    """A set of things that runs of a step looked at, for other machines.

    name       32 bytes
    marks      roots (as all trees say them) that its results name
    questions  the things
    tools      what those of them that lie in no tree held in the first run, as a digest: 8 bytes
    """

    name: bytes
    marks: list[bytes]
    questions: Questions
    tools: bytes

    def pack(self) -> bytes:
        """To bytes."""
        questions = Questions.packed(self.questions.env, b"\0".join(self.questions.asked))
        return pack([self.name, b"\0".join(self.marks), questions, self.tools])

    @staticmethod
    def unpack(data: bytes) -> "Seen":
        """From bytes. Raises ValueError."""
        name, marks, questions, tools = unpack(data)
        return Seen(name, marks.split(b"\0"), Questions.unpack(questions), tools)


def refers_to(data: bytes) -> list[tuple[bytes, bytes]]:
    """Version and name of each content to which a packed Left refers.

    Raises ValueError, also where one of its paths does not lie in a tree.
    """
    left = Left.unpack(data)
    for path, _pre, post, _mode in left.outs:
        if not _is_inside(path) or (post[:1] == b"L" and not _stays_inside(path, post[1:])):
            raise ValueError("a path that no product has")
    return [(post, path.rpartition(b"/")[2]) for path, _pre, post, _mode in left.outs if post[:1] == b"F"]


def _is_inside(path: bytes) -> bool:
    """Whether a path as all trees say it is that of a file below a root."""
    root, *names = path.split(b"/")
    return root in ROOTS and bool(names) and not {b"", b".", b"..", b".git", b".hashmake"}.intersection(names)


def _stays_inside(path: bytes, target: bytes) -> bool:
    """Whether a symbolic link leads to somewhere in the tree that it lies in."""
    depth = path.count(b"/") - 1
    for name in target.split(b"/"):
        depth += -1 if name == b".." else 0 if name in (b"", b".") else 1
        if depth < 0:
            return False
    return not target.startswith(b"/")


def pack(parts: list[bytes]) -> bytes:
    """Byte strings, each after its length."""
    return b"".join(part for text in parts for part in (_COUNT.pack(len(text)), text))


def unpack(data: bytes) -> list[bytes]:
    """From `pack`. Raises ValueError."""
    parts, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            raise ValueError("length")
        (length,) = _COUNT.unpack_from(data, at)
        at += 4
        if at + length > len(data):
            raise ValueError("length")
        parts.append(data[at : at + length])
        at += length
    return parts
