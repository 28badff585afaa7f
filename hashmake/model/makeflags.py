"""What make hands on to the makes below it: MAKEFLAGS in the form in which it is compared."""

import re
from collections.abc import Callable

from hashmake.model.makeargs import by_name

_JOBSERVER = re.compile(rb" ?--jobserver-(?:auth|fds)=\S+| ?-j\d*(?= |$)| ?-O\w*(?= |$)| ?--sync-mutex=\S+")
_WORD = re.compile(rb"(?:[^ \\]|\\.)+", re.DOTALL)  # a blank in a value has a backslash before it
_OUTPUT_FLAGS = b"swkj"  # printing and keep-going never change what a step makes


def normal_makeflags(value: bytes, meaningless: Callable[[bytes], bool]) -> bytes:
    """MAKEFLAGS without jobserver words, -j, -O, -s, -w, -k and the variable settings that `meaningless` names."""
    options, dashes, variables = value.partition(b" -- ")
    if not dashes and value.startswith(b"-- "):
        options, variables = b"", value[3:]
    options = _JOBSERVER.sub(b"", b" " + options).strip()
    words = options.split()
    if words and not words[0].startswith(b"-") and b"=" not in words[0]:
        words[0] = bytes(c for c in words[0] if c not in _OUTPUT_FLAGS)
    words = [w for w in words if w and w not in (b"--no-print-directory", b"--print-directory", b"--no-silent")]
    kept = [v.decode("latin-1") for v in _WORD.findall(variables) if not meaningless(v.partition(b"=")[0])]
    return b" ".join(words) + (b" -- " + " ".join(by_name(kept)).encode("latin-1") if kept else b"")


def never(_name: bytes) -> bool:
    """No name is meaningless (the default plug-in)."""
    return False
