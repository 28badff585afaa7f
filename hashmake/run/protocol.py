"""What launchers, makes and the supervisor say to each other: bytes to values and back (events.h). Pure."""

import struct
from array import array
from typing import NamedTuple

from hashmake.errors import NotUnderstood
from hashmake.model.printed import Printed
from hashmake.model.summary import Summary

ASK, SKIP, RUN, DONE, ACK, MAKE, WANT, NORULE, BEFORE = b"QSGDAMWNB"
RECIPE, SHELL = b"RF"
ASK_HEAD = struct.Struct("<BIIIIQB")  # kind, parent, pid, umask, argc, recipe, whether a later line of it
# wait status, user+system us, max RSS kB, what is kept, bytes of standard output and error, facts, generation, tail
DONE_HEAD = struct.Struct("<IQQBIIIQQ")
MAKE_HEAD = struct.Struct("<QQQQQ")  # step, device and inode of standard output and of standard error
NUMBER = struct.Struct("<I")
CAPTURE_MAX = 4 << 20
ALOUD = 0x100  # HM_ALOUD
_MESSAGE_MAX = 64 << 20  # all arguments and variables of a program are far less
ACKNOWLEDGED = NUMBER.pack(1) + bytes([ACK])


class Ask(NamedTuple):
    """A launcher asks for its command.

    kind    RECIPE or SHELL, as a byte string
    recipe  what all lines of its recipe have in common, 0 where make does not tell; later: it is not the first of them
    echo    how make would have printed it; empty: not at all
    argv    path of the program, then its arguments
    block   its environment, NUL-joined
    """

    kind: bytes
    parent: int
    recipe: int
    later: bool
    echo: bytes
    cwd: bytes
    argv: list[bytes]
    block: bytes


class Done(NamedTuple):
    """A launcher's command has ended: status (128 + signal if it was killed), CPU time, memory, what it printed.

    summary  of its trace; None: it has to be read
    """

    code: int
    cpu_us: int
    peak_kb: int
    printed: Printed
    summary: Summary | None


def first(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """The first message of a buffer: kind, payload, and what follows it; None: it is not whole yet.

    Raises NotUnderstood.
    """
    if len(buffer) < 5:
        return None
    length = NUMBER.unpack_from(buffer)[0]
    if not 0 < length <= _MESSAGE_MAX:
        raise NotUnderstood("length")
    end = 4 + length
    return None if len(buffer) < end else (buffer[4], buffer[5:end], buffer[end:])


def ask(payload: bytes) -> Ask:
    """Of ASK. Raises NotUnderstood."""
    kind, parent, _pid, _umask, argc, recipe, later = _head(ASK_HEAD, payload)
    echo, *strings = payload[ASK_HEAD.size :].split(b"\0", min(argc, len(payload)) + 3)
    if len(strings) != argc + 3 or strings[0][:1] != b"/":
        raise NotUnderstood("ask")
    cwd, argv, block = strings[0], strings[1 : argc + 2], strings[argc + 2]
    return Ask(bytes([RECIPE if kind == RECIPE else SHELL]), parent, recipe, bool(later), echo, cwd, argv, block)


def done(payload: bytes) -> Done:
    """Of DONE. Raises NotUnderstood."""
    status, cpu_us, peak_kb, kept, out, err, count, generation, tail = _head(DONE_HEAD, payload)
    signal = status & 0x7F
    if status > 0xFFFF or signal == 0x7F:  # stopped, not ended
        raise NotUnderstood("done")
    printed, end = DONE_HEAD.size, DONE_HEAD.size + out + err
    if end + 4 * count > len(payload):
        raise NotUnderstood("done")
    summary = None
    if tail:
        records = payload[end + 4 * count :].split(b"\0")
        if records.pop():
            raise NotUnderstood("summary")
        summary = Summary(array("I", payload[end : end + 4 * count]), records, generation, tail)
    texts = Printed(payload[printed : printed + out], payload[printed + out : end], kept)
    return Done(128 + signal if signal else status >> 8, cpu_us, peak_kb, texts, summary)


def make(payload: bytes) -> tuple[int, list[int], list[int]]:
    """Of MAKE: the step, and what make's standard output and error are (device, inode). Raises NotUnderstood."""
    number, *files = _head(MAKE_HEAD, payload)
    return number, files[:2], files[2:]


def path(payload: bytes) -> tuple[int, bytes]:
    """Of WANT, BEFORE and NORULE: the step, and the path. Raises NotUnderstood."""
    return _head(NUMBER, payload)[0], payload[4:]


def skip(code: int, out: bytes, err: bytes, aloud: bool) -> bytes:
    """The answer for a step that is current."""
    head = struct.pack("<IBiI", 9 + len(out) + len(err), SKIP, code | (ALOUD if aloud else 0), len(out))
    return head + out + err


def run(number: int, flags: int) -> bytes:
    """The answer for a step that has to run."""
    return struct.pack("<IBII", 9, RUN, number, flags)


def _head(form: struct.Struct, payload: bytes) -> tuple[int, ...]:
    """The numbers with which a message begins."""
    if len(payload) < form.size:
        raise NotUnderstood("length")
    return form.unpack_from(payload)
