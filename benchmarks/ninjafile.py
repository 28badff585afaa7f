#!/usr/bin/env python3
"""What ninja would be told of a kernel that make has built: build.ninja from Kbuild's .cmd files.

    benchmarks/ninjafile.py OUT      OUT: an output directory after a complete build; writes OUT/build.ninja

Honest as far as it goes: objects, archives and vmlinux.o, each with all that its .cmd file or its command names. What
scripts make (vmlinux, bzImage), what make decides (.config, generated headers, which command is due) and the commands
themselves are in no such graph, so ninja has less to do than make and hashmake.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass

_COMMAND = re.compile(r"^(?:saved)?cmd_(\S+) := (.*)$", re.MULTILINE)
_DEPS = re.compile(r"^deps_\S+ := \\\n((?:.*\\\n)*)", re.MULTILINE)
_PREFIX = re.compile(r'printf "([^"%]*)%s " ([^|]*)\| xargs')
_PRODUCTS = (".o", ".a", ".s", ".lds")


@dataclass(frozen=True)
class Edge:
    """One command: what it makes, what it reads, its text; paths as make has them, from the output directory."""

    target: str
    inputs: frozenset[str]
    command: str


def edge_of(text: str) -> Edge | None:
    """The edge of a .cmd file; None for what is no object, archive or the like."""
    found = _COMMAND.search(text)
    if found is None or not found[1].endswith(_PRODUCTS):
        return None
    target, command = os.path.normpath(found[1]), found[2].replace("$(pound)", "#").replace("$$", "$")
    words = set(re.split(r"[\s;|<>()]+", command))
    members = _PREFIX.search(command)
    if members is not None:
        words.update(members[1] + name for name in members[2].split())
    deps = _DEPS.search(text)
    if deps is not None:
        words.update(w for w in deps[1].replace("\\\n", " ").split() if "$" not in w and ")" not in w)
    return Edge(target, frozenset(os.path.normpath(w) for w in words if w) - {target}, command)


def edges(out: str) -> list[Edge]:
    """All of them."""
    found = []
    for folder, _, names in os.walk(out):
        for name in names:
            if name.startswith(".") and name.endswith(".cmd"):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    found.append(edge_of(file.read()))
    return [edge for edge in found if edge is not None]


def escaped(path: str) -> str:
    """As ninja's files have paths."""
    return re.sub(r"([$ :])", r"$\1", path)


def write(out: str) -> int:
    """Write OUT/build.ninja; how many files it names."""
    known = edges(out)
    files: set[str] = set()
    lines = ["rule run", "  command = $cmd", "  description = $out", ""]
    for edge in known:
        inputs = sorted(p for p in edge.inputs if os.path.isfile(os.path.join(out, p)))
        files.update(inputs, (edge.target,))
        lines.append(f"build {escaped(edge.target)}: run {' '.join(map(escaped, inputs))}")
        lines.append(f"  cmd = {edge.command.replace('$', '$$')}")
    with open(os.path.join(out, "build.ninja"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return len(files)


def main() -> None:
    """Write what the command line asks for."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{write(sys.argv[1])} files")


if __name__ == "__main__":
    main()
