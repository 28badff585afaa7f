#!/usr/bin/env python3
"""Linux tinyconfig: stock make and hashmake in the same run, after the same edits.

    benchmarks/bench_linux.py SOURCE [--rows part cold null trust touch edit comment offsets makefile few many]
                              [--cold 2] [--repeat 3] [-j 2] [--before DIR/bin/hashmake] [--ninja] [--floor] [--store]

SOURCE is a kernel's source directory or tarball (Debian: /usr/src/linux-source-6.1.tar.xz); it is copied. Both tools
build from the one copy into an output directory of their own, so each edit is made once and built twice.

    part     kernel/, from an output directory with nothing but .config: short, so that there can be many pairs
    cold     everything, from an output directory with nothing but .config
    null     nothing changed
    trust    nothing changed, and hashmake is told --trust-ctime
    touch    every source file touched
    edit     a function added to kernel/fork.c, another one each time
    comment  a comment added to kernel/fork.c
    offsets  a comment added to what include/generated/asm-offsets.h is made from: it comes out as it was
    makefile  a comment added to kernel/Makefile
    few      a declaration added to the header whose number of users is nearest to five
    many     the same in include/linux/list.h

A ratio is the middle of those of the pairs, each built one right after the other. With --before another hashmake, an
earlier one say, takes its turn as well, and a second table sets ours beside it. With --store what steps leave is
kept, in a store that is empty before each build from nothing; else there is none. With --ninja, ninja takes its turn
with a graph of the same files as far as there is one (ninjafile.py). --floor adds what a null build can't do without:
starting Python, and looking at all files in C.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import measure
import ninjafile
from measure import HASHMAKE, Usage, megabytes, spread

ROWS = ("part", "cold", "null", "trust", "touch", "edit", "comment", "offsets", "makefile", "few", "many")
HEADER = re.compile(r"include/linux/[a-z0-9_]+\.h")
TOOLS: dict[str, tuple[str, ...]] = {"make": ("make",), "hashmake": (*HASHMAKE, "build")}


@dataclass
class Bench:
    """The copied tree and its two output directories."""

    work: str
    jobs: int
    edits: int = 0
    few: str = ""
    store: bool = False
    trust: bool = False
    users: dict[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Directory of the sources."""
        return os.path.join(self.work, "linux")

    def out(self, tool: str) -> str:
        """Output directory of one tool; names of equal length, as they end up in products."""
        return os.path.join(self.work, f"o-{tool:_<8}")

    def build(self, tool: str, *goals: str) -> Usage:
        """Build once."""
        kept = {"HASHMAKE_STORE": os.path.join(self.work, "store")} if self.store else {}
        command = [*TOOLS[tool], f"-j{self.jobs}", f"O={self.out(tool)}", *goals]
        if tool == "ninja" and not goals:
            command = ["ninja", "-C", self.out(tool), f"-j{self.jobs}"]
        if self.trust and tool not in ("make", "ninja"):
            command.append("--trust-ctime")
        return measure.run(command, self.source, measure.environment(**kept))

    def cold(self, tool: str, *goals: str) -> Usage:
        """Build all or these goals, from an output directory with nothing but what tinyconfig makes."""
        for directory in (self.out(tool), os.path.join(self.work, "store")):
            shutil.rmtree(directory, ignore_errors=True)
        os.mkdir(self.out(tool))
        self.build(tool, "tinyconfig")
        if tool == "ninja":
            self.build(tool, "all")
            ninjafile.write(self.out(tool))
        return self.build(tool, *goals)

    def append(self, name: str, text: str) -> None:
        """Add a line to a source file, another one each time."""
        self.edits += 1
        with open(os.path.join(self.source, name), "a", encoding="utf-8") as file:
            file.write(text.format(n=self.edits))

    def change(self, row: str) -> None:
        """Do to the sources what a row is about."""
        if row == "touch":
            for folder, _, names in os.walk(self.source):
                for name in names:
                    os.utime(os.path.join(folder, name), follow_symlinks=False)
        elif row == "edit":
            self.append("kernel/fork.c", "int bench_{n}(void);\nint bench_{n}(void) {{ return {n}; }}\n")
        elif row == "comment":
            self.append("kernel/fork.c", "/* {n} */\n")
        elif row == "offsets":
            self.append("arch/x86/kernel/asm-offsets.c", "/* {n} */\n")
        elif row == "makefile":
            self.append("kernel/Makefile", "# {n}\n")
        elif row == "few":
            self.append(self.few, "#define HASHMAKE_BENCH_{n} {n}\n")
        elif row == "many":
            self.append("include/linux/list.h", "#define HASHMAKE_BENCH_{n} {n}\n")

    def count_users(self) -> None:
        """Learn from stock make's .cmd files how many objects read each header, and choose one with few."""
        users: collections.Counter[str] = collections.Counter()
        for folder, _, names in os.walk(self.out("make")):
            for name in names:
                if name.endswith(".o.cmd"):
                    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                        users.update(set(HEADER.findall(file.read())))
        known = [name for name in sorted(users) if os.path.exists(os.path.join(self.source, name))]
        self.few = min(known, key=lambda name: abs(users[name] - 5))
        self.users = dict(users)


def prepare(source: str, work: str, jobs: int) -> Bench:
    """Copy or unpack the sources and configure both output directories."""
    bench = Bench(work, jobs)
    os.mkdir(bench.source)
    if os.path.isdir(source):
        copy = ["cp", "-a", "--reflink=auto", os.path.join(os.path.abspath(source), "."), bench.source]
    else:
        copy = ["tar", "-xf", os.path.abspath(source), "--strip-components=1", "-C", bench.source]
    subprocess.run(copy, check=True)
    subprocess.run(["make", "-s", "mrproper"], cwd=bench.source, env=measure.environment(), check=True)
    return bench


def from_nothing(bench: Bench, chosen: list[str], cold: int, repeat: int) -> dict[str, dict[str, list[Usage]]]:
    """The rows that begin with nothing, tools in turn; each second pair in the other order: the first one warms up."""
    found: dict[str, dict[str, list[Usage]]] = {row: {tool: [] for tool in TOOLS} for row in ("part", "cold")}
    for row, goals, times in (("part", ["kernel/"], repeat), ("cold", [], cold)):
        for number in range(times if row in chosen else 0):
            for tool in reversed(TOOLS) if number % 2 else TOOLS:
                found[row][tool].append(bench.cold(tool, *goals))
    return found


def measured(bench: Bench, chosen: list[str], cold: int, repeat: int) -> dict[str, dict[str, list[Usage]]]:
    """Build all rows with both tools, in turn."""
    found = from_nothing(bench, chosen, cold, repeat)
    others = [row for row in chosen if row not in found]
    if not others:
        return found
    for tool in () if "cold" in chosen else TOOLS:
        bench.cold(tool)
    bench.count_users()
    for tool in TOOLS:
        bench.build(tool)  # what a first build leaves to be settled is not what the rows below are about
    for row in others:
        found[row] = {tool: [] for tool in TOOLS}
        bench.trust = row == "trust"
        for _ in range(repeat + bench.trust):  # the first one takes note of what it reads
            bench.change(row)
            for tool in TOOLS:
                found[row][tool].append(bench.build(tool))
        for usages in found[row].values() if bench.trust else ():
            del usages[0]
        bench.trust = False
    return found


def floor(bench: Bench, repeat: int) -> list[list[str]]:
    """Wall and CPU of starting Python, of reading and hashing all files of a null build, of only looking at them."""
    look = os.path.join(measure.ROOT, "hashmake", "interpose", "hmlook")
    folder = os.path.join(bench.out("hashmake"), ".hashmake", "complete")
    manifest = max((os.path.join(folder, n) for n in os.listdir(folder)), key=os.path.getsize)
    commands = {
        "python3 -I -S -c pass": [sys.executable, "-I", "-S", "-c", "pass"],
        "hmlook: all read and hashed": [look, manifest],
        "hmlook -t: looked at": [look, "-t", manifest],
    }
    measure.run(commands["hmlook -t: looked at"], bench.work)
    rows = []
    for label, command in commands.items():
        used = [measure.run(command, bench.work) for _ in range(max(repeat, 5))]
        rows.append([label, spread([u.wall for u in used]), spread([u.cpu for u in used])])
    return rows


def line(label: str, by_tool: dict[str, list[Usage]], other: str) -> list[str]:
    """One row of the table that sets ours beside another tool."""
    stock, ours = by_tool[other], by_tool["hashmake"]
    return [
        label,
        spread([u.wall for u in stock]),
        spread([u.wall for u in ours]),
        measure.ratio([u.wall for u in ours], [u.wall for u in stock]),
        spread([u.cpu for u in stock]),
        spread([u.cpu for u in ours]),
        measure.ratio([u.cpu for u in ours], [u.cpu for u in stock]),
        megabytes(max(u.own_rss for u in ours)),
    ]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", help="directory or tarball of the kernel")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--repeat", type=int, default=3, help="builds of each other row")
    parser.add_argument("--cold", type=int, default=2, help="cold builds")
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--work", help="directory for the copy (default: a temporary one)")
    parser.add_argument("--store", action="store_true", help="keep what steps leave")
    parser.add_argument("--ninja", action="store_true", help="let ninja take its turn")
    parser.add_argument("--floor", action="store_true", help="what a null build can't do without")
    parser.add_argument("--before", help="program hashmake of another version")
    chosen = parser.parse_args()
    if chosen.before:
        TOOLS["before"] = (os.path.abspath(chosen.before), "build")
    if chosen.ninja:
        TOOLS["ninja"] = ("make",)  # which builds what it is told of
    print(measure.origin())
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-", dir=chosen.work) as work:
        bench = prepare(chosen.source, os.path.realpath(work), chosen.jobs)
        bench.store = chosen.store
        found = measured(bench, chosen.rows, chosen.cold, chosen.repeat)
        labels = {
            "few": f"few ({bench.few}, {bench.users.get(bench.few)} users)",
            "many": f"many (include/linux/list.h, {bench.users.get('include/linux/list.h')} users)",
        }
        for other in [tool for tool in TOOLS if tool != "hashmake"]:
            header = f"row|{other} wall s|hashmake wall s|ratio|{other} CPU s|hashmake CPU s|ratio|peak MB"
            built = [row for row in ROWS if row in found and row in chosen.rows]
            print(measure.table(header.split("|"), [line(labels.get(row, row), found[row], other) for row in built]))
        if chosen.floor:
            print(measure.table(["floor", "wall s", "CPU s"], floor(bench, chosen.repeat)))
        out = bench.out("hashmake")
        if not os.path.exists(os.path.join(out, ".hashmake")):
            return
        print(f"state: {megabytes(measure.state_size(out))} MB on disk, loaded in {measure.load_time(out):.3f} s")


if __name__ == "__main__":
    main()
