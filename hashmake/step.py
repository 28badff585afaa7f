"""What a step is: its identity, and the environment it can see. Pure: no files, no processes.

Identity is kind, directory, program and arguments. The environment is no part of it: each step depends on the variables
that its processes were seen to look up (docs/design.md, "Environment by name"), a make process on all of them.
"""

import re
from collections.abc import Callable

from hashmake import digest
from hashmake.goal import MEANINGLESS

Names = frozenset[bytes]

SHELLS: Names = frozenset(b"sh dash bash ksh mksh zsh ash".split())
WHOLE = b"*"  # stands for the whole environment in a set of environment facts

_JOBSERVER = re.compile(rb" ?--jobserver-(?:auth|fds)=\S+| ?-j\d*(?= |$)| ?-O\w*(?= |$)| ?--sync-mutex=\S+")
_OUTPUT_FLAGS = b"swkj"  # printing and keep-going never change what a step makes


def normal_makeflags(value: bytes, meaningless: Callable[[bytes], bool]) -> bytes:
    """MAKEFLAGS without jobserver words, -j, -O, -s, -w, -k and the variable settings that `meaningless` names."""
    options, dashes, variables = value.partition(b" -- ")
    if not dashes and value.startswith(b"-- "):
        options, variables = b"", value[3:]
    options = _JOBSERVER.sub(b"", b" " + options).strip()
    words = options.split()
    if words and not words[0].startswith(b"-"):
        words[0] = bytes(c for c in words[0] if c not in _OUTPUT_FLAGS)
    words = [w for w in words if w and w not in (b"--no-print-directory", b"--print-directory", b"--no-silent")]
    kept = [v for v in variables.split(b" ") if v and not meaningless(v.partition(b"=")[0])]
    return b" ".join(words) + (b" -- " + b" ".join(sorted(kept)) if kept else b"")


def never(_name: bytes) -> bool:
    """No name is meaningless (the default plug-in)."""
    return False


class Environment:
    """One environment block as a step was started with.

    block     the strings, NUL-joined, without ours: what it takes to run the step again
    variables name -> value, without what carries no meaning; MAKEFLAGS in normal form
    """

    __slots__ = ("_whole", "block", "id", "variables")

    def __init__(self, number: int, strings: list[bytes], own_library: bytes, meaningless: Callable[[bytes], bool]):
        self.id = number
        kept: list[bytes] = []
        variables: dict[bytes, bytes] = {}
        for given in strings:
            string = given
            name, _, value = string.partition(b"=")
            if name == b"LD_PRELOAD":
                others = [w for w in re.split(rb"[ :]", value) if w and w != own_library]
                if not others:
                    continue
                value = b" ".join(others)
                string = name + b"=" + value
            if name.startswith(b"HASHMAKE_"):
                continue
            kept.append(string)
            if name in MEANINGLESS or meaningless(name):
                continue
            if name in (b"MAKEFLAGS", b"GNUMAKEFLAGS"):
                value = normal_makeflags(value, meaningless)
            elif name == b"MAKEOVERRIDES":
                continue  # repeats what MAKEFLAGS says
            variables[name] = value
        self.block = b"\0".join(kept)
        self.variables = variables
        self._whole: dict[bytes, bytes] = {}

    def whole(self, cwd: bytes) -> bytes:
        """Digest of everything that carries meaning for a process started in cwd."""
        found = self._whole.get(cwd)
        if found is None:
            strings = [n + b"=" + v for n, v in self.variables.items() if n != b"PWD" or v != cwd]
            found = self._whole[cwd] = digest.of_bytes(b"\0".join(sorted(strings)))
        return found

    def facts(self, names: set[bytes], cwd: bytes) -> bytes:
        """The set of environment facts for these names: NUL-joined NAME=VALUE, or NAME alone where it is not set."""
        if WHOLE in names:
            return b"*=" + self.whole(cwd)
        get = self.variables.get
        out = []
        for name in sorted(names):
            if name in MEANINGLESS or name == b"PWD":
                continue
            value = get(name)
            out.append(name if value is None else name + b"=" + value)
        return b"\0".join(out)

    def difference(self, facts: bytes, cwd: bytes) -> bytes | None:
        """The first variable in which these facts do not hold here; None when all hold."""
        if not facts:
            return None
        if facts.startswith(b"*="):
            return None if facts[2:] == self.whole(cwd) else WHOLE
        for fact in facts.split(b"\0"):
            name, equals, value = fact.partition(b"=")
            here = self.variables.get(name)
            if (here is not None or equals) and here != (value if equals else None):
                return name
        return None

    def first_changed(self, before: "Environment") -> bytes:
        """The first variable that differs from an earlier environment; WHOLE where none but PWD does."""
        names = sorted((self.variables.keys() | before.variables.keys()) - {b"PWD"})
        return next((n for n in names if before.variables.get(n) != self.variables.get(n)), WHOLE)


def key_of(kind: bytes, cwd: bytes, argv: list[bytes]) -> bytes:
    """Identity of a step, 16 bytes."""
    return digest.of_bytes(b"\0".join([kind, cwd, *argv]))


# ---- which variables a shell text can use -------------------------------------------------------------------------

_REFERENCE = re.compile(rb"\$\{?[#!]?([A-Za-z_][A-Za-z0-9_]*)")
_TOKEN = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
# Names made at run time, or all of them printed: then only the whole environment is safe.
_COMPUTED = re.compile(
    rb"(?:^|[\s;&|(`{])eval\s|\$\{!(?!\w+\[[@*]\]\})|(?:^|[;&|(\n])\s*(?:set|export|declare|typeset|readonly)(?:\s+-p)?\s*(?:$|[;&|)\n>])"
)
_ARITHMETIC = re.compile(rb"\(\(|\blet\b|\btest\s+-v\b|\[\s+-v\b")


def variables_in(text: bytes, known: dict[bytes, bytes]) -> set[bytes]:
    """Names of variables that a shell running this text can look up; {WHOLE} when they can't be told."""
    if b"$" not in text and not _ARITHMETIC.search(text) and not _COMPUTED.search(text):
        return set()
    if _COMPUTED.search(text):
        return {WHOLE}
    names = set(_REFERENCE.findall(text))
    if _ARITHMETIC.search(text):
        names.update(name for name in _TOKEN.findall(text) if name in known)
    return names
