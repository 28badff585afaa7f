#!/usr/bin/env python3
"""What is not compiled twice: Linux tinyconfig with stock make, make with ccache, and hashmake with its store.

    benchmarks/bench_store.py SOURCE [--rows cold clean revert second toggle] [--upgrade SOURCE] [-j 2] [--work DIR]

SOURCE is a kernel's source directory or tarball (Debian: /usr/src/linux-source-6.1.tar.xz). Each tool has a copy of it
at a path of the same length, builds in it, and keeps what it keeps in a directory of its own, empty at the beginning.

    cold    everything, from what tinyconfig makes; what is made is kept
    clean   `make clean`, then everything
    revert  a function added to kernel/fork.c was built; it is taken back
    toggle  CONFIG_PRINTK was switched on and built, switched off again and built; it is switched on once more
    upgrade (with --upgrade: another version's sources) the files that differ are replaced, as git would
    back    ... and replaced again by those that were there before
    second  another checkout of the sources, at another path, which was never built

ccache keeps what the compiler makes of one source: not links, archives, generated files, nor what host programs print.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

import measure
from measure import HASHMAKE, Usage

ROWS = ("cold", "clean", "revert", "toggle", "upgrade", "back", "second")
TOOLS: dict[str, list[str]] = {"make": ["make"], "ccache": ["make", "CC=ccache gcc"], "hashmake": [*HASHMAKE, "build"]}
COMPILED = re.compile(rb"^  (?:HOST)?(?:CC|AS|LD)(?: \[M\])?  +\S+\.o$", re.MULTILINE)


@dataclass
class Bench:
    """One directory with a copy of the sources for each tool."""

    work: str
    jobs: int

    def tree(self, tool: str, number: int = 1) -> str:
        """Directory of the sources, and of the products."""
        return os.path.join(self.work, f"{tool:_<8}{number}", "linux")

    def environment(self) -> dict[str, str]:
        """Where the tools keep what they keep."""
        return measure.environment(
            HASHMAKE_STORE=os.path.join(self.work, "store"),
            CCACHE_DIR=os.path.join(self.work, "ccache"),
            HOME=self.work,
        )

    def build(self, tool: str, *goals: str, number: int = 1) -> Usage:
        """Build once."""
        command = [*TOOLS[tool], f"-j{self.jobs}", *goals]
        return measure.run(command, self.tree(tool, number), self.environment())

    def check_out(self, source: str, tool: str, number: int = 1) -> None:
        """Put the sources there, as they came, and configure them."""
        tree = self.tree(tool, number)
        unpack(source, tree)
        self.build(tool, "tinyconfig", number=number)

    def append(self, tool: str, text: str) -> None:
        """Add to kernel/fork.c."""
        with open(os.path.join(self.tree(tool), "kernel/fork.c"), "a", encoding="utf-8") as file:
            file.write(text)

    def switch(self, tool: str, old: str, new: str) -> None:
        """Edit .config."""
        path = os.path.join(self.tree(tool), ".config")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert old in text, f"{old!r} is not in {path}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))


def unpack(source: str, where: str) -> None:
    """Put sources there, as they came."""
    os.makedirs(where)
    if os.path.isdir(source):
        copy = ["cp", "-a", "--reflink=auto", os.path.join(os.path.abspath(source), "."), where]
    else:
        copy = ["tar", "-xf", os.path.abspath(source), "--strip-components=1", "-C", where]
    subprocess.run(copy, check=True)


def files_in(top: str) -> set[str]:
    """All files below a directory, relative to it."""
    return {os.path.relpath(os.path.join(folder, n), top) for folder, _, names in os.walk(top) for n in names}


def replace(tree: str, old: str, new: str) -> None:
    """Make the sources in a tree, which are those in `old`, those in `new`: what is equal is left alone."""
    before, after = files_in(old), files_in(new)
    for name in before - after:
        os.remove(os.path.join(tree, name))
    for name in after:
        source, target = os.path.join(new, name), os.path.join(tree, name)
        if (
            name in before
            and not os.path.islink(source)
            and filecmp.cmp(source, os.path.join(old, name), shallow=False)
        ):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            os.remove(target)
        shutil.copy2(source, target, follow_symlinks=False)
        if not os.path.islink(target):
            os.utime(target)


def build_row(bench: Bench, row: str, source: str, tool: str) -> Usage:
    """Bring about what a row is about; the build that is measured."""
    if row == "clean":
        bench.build(tool, "clean")
    elif row == "revert":
        path = os.path.join(bench.tree(tool), "kernel/fork.c")
        shutil.copyfile(path, path + ".kept")
        bench.append(tool, "int bench(void);\nint bench(void) { return 1; }\n")
        bench.build(tool)
        os.replace(path + ".kept", path)
        os.utime(path)
    elif row == "toggle":
        off, on = "# CONFIG_PRINTK is not set", "CONFIG_PRINTK=y"
        for old, new in ((off, on), (on, off)):
            bench.switch(tool, old, new)
            bench.build(tool, "olddefconfig")
            bench.build(tool)
        bench.switch(tool, off, on)
        bench.build(tool, "olddefconfig")
    elif row in ("upgrade", "back"):
        versions = [os.path.join(bench.work, name) for name in ("old", "new")]
        replace(bench.tree(tool), *(versions if row == "upgrade" else reversed(versions)))
        bench.build(tool, "olddefconfig")
    elif row == "second":
        bench.check_out(source, tool, 2)
        return bench.build(tool, number=2)
    return bench.build(tool)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", help="directory or tarball of the kernel")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--upgrade", help="directory or tarball of another version")
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--work", help="directory for the copies (default: a temporary one)")
    chosen = parser.parse_args()
    print(measure.origin())
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-", dir=chosen.work) as work:
        bench = Bench(os.path.realpath(work), chosen.jobs)
        for name, version in (("old", chosen.source), ("new", chosen.upgrade)) if chosen.upgrade else ():
            unpack(version, os.path.join(work, name))
        found: dict[str, dict[str, Usage]] = {}
        for tool in chosen.tools:
            bench.check_out(chosen.source, tool)
        for row in ROWS:
            if row in ("upgrade", "back") and not chosen.upgrade:
                continue
            if row in chosen.rows or row == "cold":
                found[row] = {tool: build_row(bench, row, chosen.source, tool) for tool in chosen.tools}
        base = found["cold"].get("make")
        rows = []
        for row, by_tool in found.items():
            for tool, usage in by_tool.items():
                wall = f"{usage.wall / base.wall:.3f}" if base else "-"
                cpu = f"{usage.cpu / base.cpu:.3f}" if base else "-"
                compiled = str(len(COMPILED.findall(usage.output)))
                said = usage.output.splitlines()[-1].decode(errors="replace") if tool == "hashmake" else ""
                rows.append([row, tool, f"{usage.wall:.1f}", wall, f"{usage.cpu:.1f}", cpu, compiled, said[:80]])
        header = "row|tool|wall s|of cold make|CPU s|of cold make|printed compiles|said"
        print(measure.table(header.split("|"), rows))
        size = sum(
            os.lstat(os.path.join(folder, n)).st_size
            for folder, _, names in os.walk(os.path.join(work, "store"))
            for n in names
        )
        print(f"store: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
