#!/usr/bin/env python3
"""Null build and one edit on generated projects of growing size, stock make and hashmake in the same run.

    benchmarks/bench_generated.py [--steps 1000 10000 50000] [--flat] [--repeat 5] [-j 2] [--work DIR]

The column "us/file" is hashmake's null build divided by the number of files it has to read and hash (sources, headers,
products); the last line gives the same between the smallest and the largest project, without the cost of starting. It
should not grow with the project. Peak memory is that of hashmake's own process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from dataclasses import dataclass

import generate
import measure
from measure import HASHMAKE, Usage, megabytes, spread


@dataclass(frozen=True)
class Bench:
    """One generated project and what to do with it."""

    top: str
    jobs: int
    repeat: int

    def build(self, *tool: str) -> Usage:
        """Build the project once."""
        return measure.run([*tool, f"-j{self.jobs}", "-s"], self.top)

    def edit(self, number: int) -> None:
        """Change one source in the middle of the project."""
        sources = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.top)
            for name in names
            if name.endswith(".in")
        )
        with open(sources[len(sources) // 2], "a", encoding="utf-8") as file:
            file.write(f"edit {number}\n")

    def clean(self) -> None:
        """Remove all products and hashmake's state."""
        shutil.rmtree(os.path.join(self.top, ".hashmake"), ignore_errors=True)
        for folder, _, names in os.walk(self.top):
            for name in names:
                if name.endswith(".out"):
                    os.unlink(os.path.join(folder, name))


def count_files(top: str) -> int:
    """Files of the tree, hashmake's own not counted."""
    return sum(len(names) for folder, _, names in os.walk(top) if ".hashmake" not in folder)


def series(bench: Bench, tool: tuple[str, ...]) -> dict[str, list[Usage]]:
    """Cold, then null several times, then one edit several times."""
    bench.clean()
    found = {"cold": [bench.build(*tool)], "settle": [bench.build(*tool)]}
    found["null"] = [bench.build(*tool) for _ in range(bench.repeat)]
    found["edit"] = []
    for number in range(bench.repeat):
        bench.edit(number)
        found["edit"].append(bench.build(*tool))
    return found


def rows(steps: int, bench: Bench) -> tuple[list[list[str]], int, float]:
    """Measure one project with both tools; also the number of its files and hashmake's best null build."""
    stock = series(bench, ("make",))
    ours = series(bench, (*HASHMAKE, "build"))
    size = measure.state_size(bench.top)
    loaded = measure.load_time(bench.top)
    files = count_files(bench.top)
    lines = []
    for what in ("cold", "null", "edit"):
        theirs, mine = stock[what], ours[what]
        best = min(u.wall for u in mine)
        lines.append(
            [
                f"{steps} {what}",
                spread([u.wall for u in theirs]),
                spread([u.wall for u in mine]),
                f"{best / min(u.wall for u in theirs):.2f}",
                spread([u.cpu for u in theirs]),
                spread([u.cpu for u in mine]),
                f"{min(u.cpu for u in mine) / min(u.cpu for u in theirs):.2f}",
                f"{best / files * 1e6:.1f}" if what == "null" else "",
                megabytes(max(u.own_rss for u in mine)),
                megabytes(size),
                f"{loaded:.3f}",
            ]
        )
    return lines, files, min(u.wall for u in ours["null"])


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 10000, 50000])
    parser.add_argument("--flat", action="store_true", help="one directory, one makefile")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--work", help="directory for the projects (default: a temporary one)")
    chosen = parser.parse_args()
    print(measure.origin())
    lines = []
    nulls = []
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-", dir=chosen.work) as work:
        for steps in chosen.steps:
            bench = Bench(os.path.join(work, f"steps{steps}"), chosen.jobs, chosen.repeat)
            generate.generate(bench.top, generate.Shape(steps, chosen.flat))
            measured, files, wall = rows(steps, bench)
            lines += measured
            nulls.append((files, wall))
            shutil.rmtree(bench.top)
    header = "steps|make wall s|hashmake wall s|ratio|make CPU s|hashmake CPU s|ratio|us/file|peak MB|state MB|load s"
    print(measure.table(header.split("|"), lines))
    (few, fast), (many, slow) = nulls[0], nulls[-1]
    if many > few:
        print(
            f"null build, between {few} and {many} files: {(slow - fast) / (many - few) * 1e6:.1f} us for one more file"
        )


if __name__ == "__main__":
    main()
