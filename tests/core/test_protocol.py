"""What comes over the supervisor's socket: bytes to values and back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashmake.errors import NotUnderstood
from hashmake.run import protocol

SOME = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # other programs may be at work
)
KINDS = st.sampled_from([protocol.ASK, protocol.DONE, protocol.MAKE, protocol.WANT, protocol.NORULE, protocol.BEFORE])
MESSAGES = st.lists(st.tuples(KINDS, st.binary(max_size=40)), min_size=1, max_size=6)
STRING = st.binary(max_size=12).map(lambda data: data.replace(b"\0", b"x"))
NUMBER = st.integers(0, 0xFFFFFFFF)


def whole(kind: int, payload: bytes) -> bytes:
    """A message as a peer sends it."""
    return struct.pack("<IB", 1 + len(payload), kind) + payload


def asked(
    kind: int = protocol.RECIPE,
    argc: int = 2,
    strings: bytes = b"echo\0/w\0/bin/sh\0sh\0-c\0A=1\0B=2\0",
    recipe: int = 0,
    later: int = 0,
) -> bytes:
    """A launcher's question, by default about `sh -c`."""
    return struct.pack("<BIIIIQB", kind, 3, 100, 0o22, argc, recipe, later) + strings


def taken(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """All messages of a buffer, as the loop takes them, and what is left."""
    found = []
    while (message := protocol.first(data)) is not None:
        kind, payload, data = message
        found.append((kind, payload))
    return found, data


# -- messages in a stream -------------------------------------------------------------------------------------------


def test_a_message_is_its_kind_and_what_it_says() -> None:
    assert protocol.first(whole(protocol.DONE, b"abc")) == (protocol.DONE, b"abc", b"")


def test_a_message_may_say_nothing() -> None:
    assert protocol.first(whole(protocol.ACK, b"")) == (protocol.ACK, b"", b"")


def test_what_follows_a_message_is_left() -> None:
    assert protocol.first(whole(protocol.ASK, b"a") + b"rest") == (protocol.ASK, b"a", b"rest")


@SOME
@given(MESSAGES)
def test_messages_come_out_in_the_order_in_which_they_went_in(messages: list[tuple[int, bytes]]) -> None:
    assert taken(b"".join(whole(*each) for each in messages)) == (messages, b"")


@SOME
@given(MESSAGES, st.data())
def test_in_whatever_pieces_they_come_they_are_the_same(
    messages: list[tuple[int, bytes]], choose: st.DataObject
) -> None:
    data = b"".join(whole(*each) for each in messages)
    found, buffer = [], b""
    while data:
        size = choose.draw(st.integers(1, len(data)))
        more, buffer = taken(buffer + data[:size])
        data = data[size:]
        found += more
    assert (found, buffer) == (messages, b"")


@SOME
@given(KINDS, st.binary(max_size=40), st.data())
def test_a_message_that_is_cut_in_the_middle_is_none(kind: int, payload: bytes, choose: st.DataObject) -> None:
    """Its peer has hung up, or the rest is still to come."""
    data = whole(kind, payload)
    assert protocol.first(data[: choose.draw(st.integers(0, len(data) - 1))]) is None


@pytest.mark.parametrize("length", [0, (64 << 20) + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_that_no_message_has_is_not_understood(length: int) -> None:
    with pytest.raises(NotUnderstood):
        protocol.first(struct.pack("<I", length) + b"Qxxx")


def test_the_longest_message_is_waited_for() -> None:
    assert protocol.first(struct.pack("<I", 64 << 20) + b"Qxxx") is None


def test_a_length_alone_is_not_looked_at_yet() -> None:
    """It comes with its kind; nobody is cut off for half of one."""
    assert protocol.first(struct.pack("<I", 0)) is None


@SOME
@given(st.binary(max_size=60))
def test_any_bytes_are_messages_or_not_understood(data: bytes) -> None:
    try:
        found, rest = taken(data)
    except NotUnderstood:
        return
    assert b"".join(whole(*each) for each in found) + rest == data


# -- a launcher asks ------------------------------------------------------------------------------------------------


def test_a_question_tells_all_of_a_command() -> None:
    ask = protocol.ask(asked(recipe=77, later=1))
    assert ask == (b"R", 3, 77, True, b"echo", b"/w", [b"/bin/sh", b"sh", b"-c"], b"A=1\0B=2\0")


def test_all_that_is_no_recipe_line_is_a_shell_function() -> None:
    assert protocol.ask(asked(protocol.SHELL)).kind == b"F"


def test_a_command_may_have_no_arguments_and_no_variables() -> None:
    ask = protocol.ask(asked(argc=0, strings=b"\0/\0/bin/true\0"))
    assert (ask.echo, ask.cwd, ask.argv, ask.block) == (b"", b"/", [b"/bin/true"], b"")


@pytest.mark.parametrize("strings", [b"", b"echo", b"echo\0/w\0/bin/sh\0sh\0-c", b"echo\0w\0/bin/sh\0sh\0-c\0"])
def test_a_question_with_words_missing_or_a_directory_that_is_none_is_not_understood(strings: bytes) -> None:
    with pytest.raises(NotUnderstood):
        protocol.ask(asked(strings=strings))


@pytest.mark.parametrize("argc", [3, 5, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_number_of_arguments_that_are_not_there_is_not_understood(argc: int) -> None:
    """Nor is room made for them."""
    with pytest.raises(NotUnderstood):
        protocol.ask(asked(argc=argc, strings=b"echo\0/w\0/bin/sh\0sh\0-c\0"))


@SOME
@given(
    NUMBER, st.integers(0, (1 << 64) - 1), st.booleans(), STRING, STRING, st.lists(STRING, max_size=5), st.lists(STRING)
)
def test_a_question_comes_out_as_it_went_in(
    parent: int, recipe: int, later: bool, echo: bytes, cwd: bytes, argv: list[bytes], env: list[bytes]
) -> None:
    head = struct.pack("<BIIIIQB", protocol.RECIPE, parent, 1, 2, len(argv), recipe, later)
    block = b"\0".join(env)
    ask = protocol.ask(head + b"\0".join([echo, b"/" + cwd, b"/bin/x", *argv, block]))
    assert ask == (b"R", parent, recipe, later, echo, b"/" + cwd, [b"/bin/x", *argv], block)


# -- a launcher tells the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"), [(0, 0), (1 << 8, 1), (255 << 8, 255), (9, 137), (15, 143), (11 | 0x80, 139)]
)
def test_a_wait_status_is_an_exit_code_as_a_shell_tells_it(status: int, code: int) -> None:
    done = protocol.done(struct.pack("<IQQBIIIQQ", status, 5, 6, 3, 4, 3, 0, 0, 0) + b"outserr")
    assert done[:3] == (code, 5, 6)
    assert (done.printed.out, done.printed.err, done.printed.kept) == (b"outs", b"err", 3)
    assert done.summary is None


def test_what_was_printed_is_as_long_as_it_is_said_to_be() -> None:
    for out, err, facts in ((4, 0, 0), (0, 4, 0), (1, 3, 0), (0, 0, 1), (2**32 - 1,) * 3):
        with pytest.raises(NotUnderstood):
            protocol.done(struct.pack("<IQQBIIIQQ", 0, 5, 6, 1, out, err, facts, 0, 9) + b"out")


def test_a_summary_is_facts_and_what_is_left_of_the_records() -> None:
    head = struct.pack("<IQQBIIIQQ", 0, 5, 6, 1, 1, 0, 2, 3, 4000)
    summary = protocol.done(head + b"o" + struct.pack("<II", 7, 8) + b"r/a\0w/b\0").summary
    assert summary is not None
    assert (list(summary.facts), summary.records) == ([7, 8], [b"r/a", b"w/b"])
    assert (summary.generation, summary.tail) == (3, 4000)
    with pytest.raises(NotUnderstood):
        protocol.done(head + b"o" + struct.pack("<II", 7, 8) + b"r/a\0w/b")


@pytest.mark.parametrize("status", [0x7F, 0x137F, 0x10000, 0xFFFFFFFF])
def test_a_step_that_was_only_stopped_has_not_ended(status: int) -> None:
    with pytest.raises(NotUnderstood):
        protocol.done(struct.pack("<IQQBIIIQQ", status, 0, 0, 0, 0, 0, 0, 0, 0))


@SOME
@given(NUMBER)
def test_no_status_is_taken_for_a_good_end_but_zero(status: int) -> None:
    try:
        done = protocol.done(struct.pack("<IQQBIIIQQ", status, 0, 0, 0, 0, 0, 0, 0, 0))
    except NotUnderstood:
        return
    assert 0 <= done.code <= 255
    assert (done.code == 0) == (status & 0xFF7F == 0)


# -- others ---------------------------------------------------------------------------------------------------------


def test_a_make_tells_its_step_and_what_it_prints_to() -> None:
    assert protocol.make(struct.pack("<QQQQQ", 7, 1, 2, 3, 4)) == (7, [1, 2], [3, 4])


@SOME
@given(NUMBER, st.binary(max_size=30))
def test_a_path_comes_with_the_number_of_its_step(step: int, name: bytes) -> None:
    assert protocol.path(struct.pack("<I", step) + name) == (step, name)


@pytest.mark.parametrize(
    ("read", "size"), [(protocol.ask, 26), (protocol.done, 49), (protocol.make, 40), (protocol.path, 4)]
)
def test_what_is_shorter_than_its_head_is_not_understood(read: object, size: int) -> None:
    assert callable(read)
    for length in range(size):
        with pytest.raises(NotUnderstood):
            read(b"\0" * length)


# -- answers --------------------------------------------------------------------------------------------------------


@SOME
@given(st.integers(0, 255), st.binary(max_size=40), st.binary(max_size=40), st.booleans())
def test_the_answer_for_a_current_step_tells_status_and_output(code: int, out: bytes, err: bytes, aloud: bool) -> None:
    found = protocol.first(protocol.skip(code, out, err, aloud))
    assert found is not None
    kind, payload, rest = found
    assert (kind, rest) == (protocol.SKIP, b"")
    assert struct.unpack_from("<i", payload)[0] == code + (0x100 if aloud else 0)
    assert struct.unpack_from("<I", payload, 4)[0] == len(out)
    assert payload[8:] == out + err


@SOME
@given(NUMBER, st.integers(0, 255))
def test_the_answer_for_a_stale_step_tells_its_number(number: int, flags: int) -> None:
    assert protocol.first(protocol.run(number, flags)) == (protocol.RUN, struct.pack("<II", number, flags), b"")


def test_that_it_is_known_is_said_in_five_bytes() -> None:
    assert protocol.first(protocol.ACKNOWLEDGED) == (protocol.ACK, b"", b"")
