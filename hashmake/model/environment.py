"""The environment that a step can see.

It is no part of the step's identity: each step depends on the variables that its processes were seen to look up
(docs/design.md, "Environment by name"), a make process on all that it can name.
"""

import re
from collections.abc import Callable

from hashmake.model import digest
from hashmake.model.makeflags import normal_makeflags
from hashmake.model.names import MEANINGLESS
from hashmake.model.selection import Selection
from hashmake.model.variables import EXPRESSIONS, FUNCTIONS, SEARCH, TOKEN, WHOLE


class Environment:
    """One environment block as a step was started with.

    block     the strings, NUL-joined, without ours: what it takes to run the step again
    variables name -> value, without what carries no meaning; MAKEFLAGS in normal form
    """

    __slots__ = ("_chosen", "_whole", "block", "id", "variables")

    def __init__(self, number: int, strings: list[bytes], own_library: bytes, meaningless: Callable[[bytes], bool]):
        self.id = number
        kept: list[bytes] = []
        variables: dict[bytes, bytes] = {}
        functions: list[bytes] = []
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
            if name.startswith(b"BASH_FUNC_"):
                functions.append(string)
        if functions:
            variables[FUNCTIONS] = digest.of_bytes(b"\0".join(sorted(functions))).hex().encode()
        self.block = b"\0".join(kept)
        self.variables = variables
        self._whole: dict[bytes, bytes] = {}
        self._chosen: dict[tuple[Selection, bytes], bytes] = {}

    def whole(self, cwd: bytes) -> bytes:
        """Digest of everything that carries meaning for a process started in cwd."""
        found = self._whole.get(cwd)
        if found is None:
            strings = [n + b"=" + v for n, v in self.variables.items() if n != b"PWD" or v != cwd]
            found = self._whole[cwd] = digest.of_bytes(b"\0".join(sorted(strings)))
        return found

    def whole_said(self, cwd: bytes, said: Callable[[bytes], bytes]) -> bytes:
        """As `whole`, each variable as `said` has it."""
        strings = [said(n + b"=" + v) for n, v in self.variables.items() if n != b"PWD" or v != cwd]
        return digest.of_bytes(b"\0".join(sorted(strings)))

    def chosen(self, selection: Selection, cwd: bytes) -> bytes:
        """Digest of the variables that count for a make which can name those of a selection, started in cwd."""
        found = self._chosen.get((selection, cwd))
        if found is None:
            here = selection.of(self.variables)
            strings = [n + b"=" + v for n, v in here.items() if n != b"PWD" or v != cwd]
            found = self._chosen[selection, cwd] = digest.of_bytes(b"\0".join(sorted(strings)))
        return found

    def facts(self, names: set[bytes], cwd: bytes, searched: list[bytes] | None = None) -> bytes:
        """The set of environment facts for these names: NUL-joined NAME=VALUE, or NAME alone where it is not set.

        searched  names that were looked for along PATH, if SEARCH is among the names: they follow its value, each
                  after a byte 1, in a fact that begins with one
        """
        if WHOLE in names:
            return b"*=" + self.whole(cwd)
        get = self.variables.get
        out = []
        if EXPRESSIONS in names:
            names = self._in_expressions(names - {EXPRESSIONS})
        path = self.variables.get(b"PATH")
        if SEARCH in names and path is not None and b"PATH" not in names and searchable(path):
            names = names - {SEARCH}
            if searched:
                out.append(b"\1".join([b"", path, *searched]))
        elif SEARCH in names:
            names = names - {SEARCH} | {b"PATH"}
        for name in sorted(names):
            if name in MEANINGLESS or name == b"PWD":
                continue
            value = get(name)
            out.append(name if value is None else name + b"=" + value)
        return b"\0".join(out)

    def _in_expressions(self, names: set[bytes]) -> set[bytes]:
        """These names, and those that their values name: N=M+1 makes $((N)) depend on M."""
        found: set[bytes] = set()
        rest = names
        while rest:
            found |= rest
            values = (self.variables.get(name, b"") for name in rest)
            rest = {token for value in values for token in TOKEN.findall(value)} - found
        return found

    def searches(self, facts: bytes) -> tuple[bytes, list[bytes]] | None:
        """The value of PATH along which these facts had names searched, and the names; None: none, or it is as here."""
        if not facts.startswith(b"\1"):
            return None
        path, *names = facts.partition(b"\0")[0][1:].split(b"\1")
        return None if path == self.variables.get(b"PATH") else (path, names)

    def difference(self, facts: bytes, cwd: bytes) -> bytes | None:
        """The first variable in which these facts do not hold here; None when all hold (searches left out)."""
        if not facts:
            return None
        if facts.startswith(b"*="):
            return None if facts[2:] == self.whole(cwd) else WHOLE
        for fact in facts.split(b"\0"):
            if fact.startswith(b"\1"):
                continue
            name, equals, value = fact.partition(b"=")
            here = self.variables.get(name)
            if (here is not None or equals) and here != (value if equals else None):
                return name
        return None

    def differing(self, before: "Environment") -> set[bytes]:
        """The variables that differ from an earlier environment."""
        here, there = self.variables, before.variables
        return {name for name in here.keys() | there.keys() if here.get(name) != there.get(name)}

    def first_changed(self, before: "Environment", among: Selection | None = None) -> bytes:
        """The first variable that differs from an earlier environment; WHOLE where none but PWD does.

        among  those that count (None: all)
        """
        names = self.differing(before) - {b"PWD"}
        if among is not None:
            names &= among.of(self.variables).keys() | among.of(before.variables).keys()
        return min(names, default=WHOLE)


def searchable(path: bytes) -> bool:
    """Whether a value of PATH leads to the same files from everywhere."""
    return b"\1" not in path and all(directory.startswith(b"/") for directory in path.split(b":"))
