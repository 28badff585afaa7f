"""How Kconfig writes options: `CONFIG_X=y`, `#define CONFIG_X 1`, `--cfg=CONFIG_X` (scripts/kconfig/confdata.c)."""

import re
from collections.abc import Callable

Names = Callable[[bytes], dict[bytes, bytes]]

_DEFINED = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]*(.*)$", re.MULTILINE)
_ASSIGNED = re.compile(rb"^(\w+)=(.*)$", re.MULTILINE)
_CFG = re.compile(rb"^--cfg=(\w+)=?(.*)$", re.MULTILINE)


def _header(data: bytes) -> dict[bytes, bytes]:
    return _all(_DEFINED, data, (b"#define", b"/*", b" *", b"*/"))


def _assignments(data: bytes) -> dict[bytes, bytes]:
    return _all(_ASSIGNED, data, (b"#", b"CONFIG_"))


def _flags(data: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, text in _CFG.findall(data):
        found[name] = found.get(name, b"") + b" " + text  # a string option has two lines
    return {**found, b"": _rest(data, (b"--cfg=",))}


def _all(pattern: re.Pattern[bytes], data: bytes, known: tuple[bytes, ...]) -> dict[bytes, bytes]:
    return {**dict(pattern.findall(data)), b"": _rest(data, known)}


def _rest(data: bytes, known: tuple[bytes, ...]) -> bytes:
    """Lines of no known form: they concern every reader (under the name "")."""
    return b"\n".join(line for line in data.split(b"\n") if line and not line.startswith(known))


option_text: dict[bytes, Names] = {
    b"include/generated/autoconf.h": _header,
    b"include/config/auto.conf": _assignments,
    b"include/generated/rustc_cfg": _flags,
}
