#!/usr/bin/env python3
"""A small kernel with trimmed exports: stock make and hashmake in the same run, in compilations, steps and CPU.

    benchmarks/bench_kbuild.py SOURCE [--rows first clean mrproper null edit header toggle back ksym unksym] [-j 2]

SOURCE is a kernel's source directory or tarball, 4.7 to 6.4 (Debian: /usr/src/linux-source-6.1.tar.xz); it is copied.
The configuration is tinyconfig and trim.config. Both tools build from the one copy into an output directory of their
own.

    first   everything, nothing known of any earlier build
    clean   `make clean`, then everything; the list of needed symbols is left over
    mrproper  `make mrproper`, configured again, then everything; stock make knows nothing
    null    nothing changed
    edit    a function added to kernel/fork.c
    header  a macro added to the header whose number of users is nearest to five
    toggle  an option switched on (--option)
    back    and off again
    ksym    fs/fat uses one more exported symbol (kstrtoint)
    unksym  and no more

Stock make may fail, or leave an old kernel, and have to be called again (docs/kbuild.md). `calls` says how often each
tool was until a further call would change nothing; all but that last one count.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field

import bench_linux
import measure
from bench_linux import TOOLS, Bench
from measure import Usage

ROWS = ("first", "clean", "mrproper", "null", "edit", "header", "toggle", "back", "ksym", "unksym")
COMPILED = re.compile(rb"^ +(?:CC|AS)(?: \[M\])? +\S+", re.MULTILINE)
RAN = re.compile(rb"hashmake: ([\d,]+) steps ran")
MOST_CALLS = 3
FRAGMENT = os.path.join(measure.ROOT, "benchmarks", "trim.config")
MODULE = "fs/fat/misc.c"
USE = "\nint bench_use(const char *s, int *r);\nint bench_use(const char *s, int *r) { return kstrtoint(s, 10, r); }\n"


@dataclass
class Trimmed(Bench):
    """The copied tree with the fragment on top of tinyconfig."""

    option: str = ""
    calls: dict[str, int] = field(default_factory=dict)

    def build(self, tool: str, *goals: str) -> Usage:
        """Build as often as it takes: until it does not fail, and once more would change nothing."""
        command = [*TOOLS[tool], f"-j{self.jobs}", f"O={self.out(tool)}", *goals]
        self.calls[tool] = 1
        if goals:
            return measure.run(command, self.source)
        used = measure.run(command, self.source, may_fail=tool == "make")
        while self.calls[tool] <= MOST_CALLS:
            made = self.products(tool)
            further = measure.run(command, self.source, may_fail=self.calls[tool] < MOST_CALLS)
            if not used.status and not further.status and self.products(tool) == made:
                return used
            used += further
            self.calls[tool] += 1
        raise SystemExit(f"{' '.join(command)}: every one of {MOST_CALLS} calls changes something")

    def products(self, tool: str) -> dict[str, bytes]:
        """Kernel and modules with their digests."""
        names = [*glob.glob(f"{self.out(tool)}/**/*.ko", recursive=True), f"{self.out(tool)}/vmlinux"]
        found = {}
        for name in names:
            if os.path.exists(name):
                with open(name, "rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").digest()
        return found

    def first(self, tool: str) -> Usage:
        """Everything, as after a fresh checkout."""
        out = self.out(tool)
        shutil.rmtree(out, ignore_errors=True)
        os.mkdir(out)
        return self.again(tool)

    def again(self, tool: str) -> Usage:
        """Everything, as after `make mrproper`."""
        out = self.out(tool)
        self.build(tool, "tinyconfig")
        with (
            open(os.path.join(out, ".config"), "a", encoding="utf-8") as config,
            open(FRAGMENT, encoding="utf-8") as add,
        ):
            config.write(add.read())
        self.build(tool, "olddefconfig")
        return self.build(tool)

    def rewrite(self, name: str, old: str, new: str) -> None:
        """Put one text in the place of another, which must be there."""
        with open(name, encoding="utf-8") as file:
            text = file.read()
        if old not in text:
            raise SystemExit(f"{name}: has no {old!r}")
        with open(name, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def change(self, row: str) -> None:
        """Do to sources and configurations what a row is about."""
        module = os.path.join(self.source, MODULE)
        unset, is_set = f"# {self.option} is not set\n", f"{self.option}=y\n"
        if row == "header":
            super().change("few")
        elif row in ("toggle", "back"):
            for tool in TOOLS:
                config = os.path.join(self.out(tool), ".config")
                self.rewrite(config, *((unset, is_set) if row == "toggle" else (is_set, unset)))
        elif row == "ksym":
            with open(module, "a", encoding="utf-8") as file:
                file.write(USE)
        elif row == "unksym":
            self.rewrite(module, USE, "")
        else:
            super().change(row)


def compiled(used: Usage) -> str:
    """How many compilations, and of how many units if some were compiled more than once."""
    lines = COMPILED.findall(used.output)
    units = len(set(lines))
    return f"{len(lines)}" if units == len(lines) else f"{len(lines)} of {units}"


def line(row: str, by_tool: dict[str, Usage], calls: dict[str, int]) -> list[str]:
    """One row of the table, told at once: the next may take long, or fail."""
    stock, ours = by_tool["make"], by_tool["hashmake"]
    ran = RAN.search(ours.output)
    cells = [
        row,
        f"{calls['make']}, {calls['hashmake']}",
        compiled(stock),
        compiled(ours),
        ran[1].decode() if ran else "0",
        f"{stock.wall:.2f}",
        f"{ours.wall:.2f}",
        f"{ours.wall / stock.wall:.3f}",
        f"{stock.cpu:.2f}",
        f"{ours.cpu:.2f}",
        f"{ours.cpu / stock.cpu:.3f}",
    ]
    print(" | ".join(cells), file=sys.stderr, flush=True)
    return cells


def main() -> None:
    """Measure what the command line asks for, in the order of ROWS."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", help="directory or tarball of the kernel")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--option", default="CONFIG_AIO", help="what `toggle` switches on; it must be off")
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--work", help="directory for the copy (default: a temporary one)")
    chosen = parser.parse_args()
    print(measure.origin())
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-", dir=chosen.work) as work:
        plain = bench_linux.prepare(chosen.source, os.path.realpath(work), chosen.jobs)
        bench = Trimmed(plain.work, plain.jobs, option=chosen.option)
        lines = [line("first", {tool: bench.first(tool) for tool in TOOLS}, bench.calls)]
        bench.count_users()
        for row in ROWS[1:]:
            if row not in chosen.rows:
                continue
            if row in ("clean", "mrproper"):
                for tool in TOOLS:
                    bench.build(tool, row)
            bench.change(row)
            build = bench.again if row == "mrproper" else bench.build
            lines.append(line(row, {tool: build(tool) for tool in TOOLS}, bench.calls))
        header = "row|calls|make compiles|hashmake compiles|steps ran|make wall s|hashmake wall s|ratio"
        header += "|make CPU s|hashmake CPU s|ratio"
        print(measure.table(header.split("|"), lines))


if __name__ == "__main__":
    main()
