"""events.h is the contract: every constant of it that Python decodes by is the same there, and none is left out."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import pytest

from hashmake.model import letters, printed, result
from hashmake.run import known, protocol, trace, view

from . import harness

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = (harness.SOURCES / "events.h").read_text()
SIZES = {"uint32_t": "I", "uint64_t": "Q"}


def value(text: str) -> int | str | None:
    """What a definition in C stands for: a character, a string, or a number that may be shifted."""
    if text[0] in "'\"":
        return text[1:-1]
    number = re.fullmatch(r"\(?(0x[0-9a-fA-F]+|\d+)u?l*(?: *<< *(\d+))?\)?", text)
    return None if number is None else int(number[1], 0) << int(number[2] or 0)


def defined() -> Iterator[tuple[str, int | str]]:
    """The names of events.h, without HM_, and their values."""
    for name, text in re.findall(r"^#define HM_(\w+) +('.'|\"[^\"]*\"|\([^)]*\)|\w+)", HEADER, re.MULTILINE):
        known = value(text)
        assert known is not None, (name, text)
        yield name, known


CONSTANTS = dict(defined())
KINDS = {name: known for name, known in CONSTANTS.items() if isinstance(known, str) and len(known) == 1}
MESSAGES = {name.removeprefix("M_"): known for name, known in KINDS.items() if name.startswith("M_")}
STEPS = {name: KINDS[name] for name in ("RECIPE", "SHELL")}
RECORDS = {name: known for name, known in KINDS.items() if not name.startswith("M_") and name not in STEPS}


def layout(name: str) -> struct.Struct:
    """The struct of this name, as the struct module says it."""
    found = re.search(rf"struct {name} \{{(.*?)\n\}};", HEADER, re.DOTALL)
    assert found is not None
    form = ""
    for kind, fields in re.findall(r"^ *(uint\d+_t) ([^;]+);", found[1], re.MULTILINE):
        for field in fields.split(","):
            count = re.search(r"\[(\w+)\]", field)
            number = 1 if count is None else int(count[1]) if count[1].isdigit() else CONSTANTS[count[1][3:]]
            form += f"{number}{SIZES[kind]}"
    return struct.Struct("<" + form)


def test_the_header_is_read_whole() -> None:
    """So that the others say something."""
    assert len(CONSTANTS) == len(re.findall(r"^#define HM_\w+ ", HEADER, re.MULTILINE)) > 60
    assert len(RECORDS) == len(set(RECORDS.values())) > 25


def test_every_kind_of_record_has_its_letter() -> None:
    """No kind is missing on one side."""
    known = {name: text.decode() for name, text in vars(letters).items() if isinstance(text, bytes)}
    assert known == RECORDS


def test_every_message_has_its_letter() -> None:
    """And what a launcher asks for."""
    assert {name: chr(getattr(protocol, name)) for name in MESSAGES} == MESSAGES
    assert {name: chr(getattr(protocol, name)) for name in STEPS} == STEPS
    assert {name: getattr(result, name).decode() for name in STEPS} == STEPS


# Of each decoder: its name for the constant, the constant, and how far it is shifted in an entry's value.
DECODED: list[tuple[Any, str, str, int]] = [
    *((trace, name, name, 0) for name in ("VERSION", "LOST", "TIMES", "KEEP", "KEEP_ERR", "WATCH")),
    (trace, "MAGIC", "TRACE_MAGIC", 0),
    (known, "MAGIC", "KNOWN_MAGIC", 0),
    (trace, "FIRST", "TRACE_FIRST", 0),
    *((protocol, name, name, 0) for name in ("ALOUD", "CAPTURE_MAX")),
    *((printed, name, f"KEPT_{name}", 0) for name in ("OUT", "ERR", "ONE")),
    *((view, name, name, 0) for name in ("VERSION", "TABLES", "TIME_BASE")),
    (view, "MAGIC", "VIEW_MAGIC", 0),
    *((view, name, f"VF_{name}", 0) for name in ("HIDE", "TIME", "GIVEN_UP")),
    *((view, name, f"V_{name}", 0) for name in ("HIDDEN", "PRESENT", "LIVE", "AHEAD", "SOURCE", "FOREIGN")),
    (view, "FIRST_SIGHT", "FIRST_SIGHT", 3),
    *((harness, name, name, 0) for name in ("VERSION", "TRACE_MAGIC", "VIEW_MAGIC", "TRACE_FIRST", "TABLES")),
    *((harness, name, name, 0) for name in ("TIMES", "TIME_BASE")),
    *((harness, name, f"VF_{name}", 0) for name in ("HIDE", "TIME")),
    *((harness, name, f"V_{name}", 0) for name in ("HIDDEN", "PRESENT", "LIVE", "AHEAD", "SOURCE", "FOREIGN")),
]


@pytest.mark.parametrize(
    ("module", "name", "constant", "shift"),
    DECODED,
    ids=lambda each: each.__name__.rpartition(".")[2] if hasattr(each, "__name__") else str(each),
)
def test_a_decoder_goes_by_the_constants_of_the_header(module: Any, name: str, constant: str, shift: int) -> None:
    """Bump them there, and then here."""
    assert getattr(module, name) << shift == CONSTANTS[constant]


def test_every_state_and_every_flag_is_decoded() -> None:
    """Nobody adds one to the header alone: NONE is no entry, UNWRITTEN is between launcher and make."""
    wanted = {name for name in CONSTANTS if re.match(r"VF?_", name)} - {"V_NONE"}
    assert wanted <= {constant for module, _name, constant, _shift in DECODED if module is view}
    flags = {
        name
        for name in re.findall(r"^#define HM_(\w+) (?:1|2|4|8|16|32|64)u\b", HEADER, re.MULTILINE)
        if name[:2] not in {"V_", "VF"}
    }
    assert flags - {"UNWRITTEN", "TERMINAL"} == {
        constant
        for module, name, constant, _shift in DECODED
        if name in {"LOST", "TIMES", "KEEP", "KEEP_ERR", "WATCH"} and module is trace
    }


@pytest.mark.parametrize(
    ("decoder", "name"),
    [
        (trace.HEADER, "hm_trace"),
        (harness.TRACE_HEADER, "hm_trace"),
        (view.HEADER, "hm_view"),
        (known.HEADER, "hm_known"),
        (harness.VIEW_HEADER, "hm_view"),
    ],
)
def test_a_decoder_has_the_layout_of_the_header(decoder: struct.Struct, name: str) -> None:
    """Padding may be skipped, not forgotten."""
    numbers = bytes(range(1, decoder.size + 1))
    there = layout(name)
    assert there.size == decoder.size
    assert there.unpack(numbers)[: len(decoder.unpack(numbers))] == decoder.unpack(numbers)
