#!/usr/bin/env python3
"""How large the state becomes: one tree built many times, each time after a small edit and with another environment.

    benchmarks/bench_growth.py [--builds 1000] [--steps 300] [--every 100] [-j 2] [--work DIR]

Each build edits one source and has a dozen new variables, as a CI system gives each of its jobs; one of them is named
in the makefile, so that it can't be passed over. "fresh" is the state of a first build of the same sources.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time

import generate
import measure
from measure import HASHMAKE


def state(top: str) -> int:
    """Bytes of the state."""
    found = (
        os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(top, ".hashmake")) for name in names
    )
    return sum(os.stat(path).st_size for path in found)


def build(top: str, jobs: int, number: int) -> float:
    """Build with the environment of job `number`; seconds."""
    variables = {
        f"CI_{name}": f"{name}-{number}" for name in "JOB RUN SHA REF URL TOKEN RUNNER ACTOR EVENT STEP DAY".split()
    }
    began = time.monotonic()
    subprocess.run(
        [*HASHMAKE, "build", f"-j{jobs}", "-s"],
        cwd=top,
        env=measure.environment(BUILD_NUMBER=str(number), **variables),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def fresh(top: str, jobs: int, number: int) -> int:
    """The size of a first build's state, made in a copy."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(top)) as scratch:
        copy = os.path.join(scratch, "tree")
        shutil.copytree(top, copy, ignore=shutil.ignore_patterns(".hashmake", "*.out"))
        build(copy, jobs, number)
        return state(copy)


def main() -> None:
    """Print a line every so many builds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--work", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        top = os.path.join(work, "tree")
        generate.generate(top, generate.Shape(options.steps))
        with open(os.path.join(top, "Makefile"), "a", encoding="utf-8") as makefile:
            makefile.write("\nNUMBER := $(BUILD_NUMBER)\n")
        sources = sorted(os.path.join(f, n) for f, _, names in os.walk(top) for n in names if n.endswith(".in"))
        chance = random.Random(1)
        worst = 0.0
        print(f"{options.steps} steps, {options.builds} builds; {measure.origin()}")
        print(f"{'build':>6} {'state kB':>9} {'fresh kB':>9} {'ratio':>6} {'s/build':>8}")
        spent = 0.0
        for number in range(options.builds + 1):
            with open(chance.choice(sources), "a", encoding="utf-8") as source:
                source.write(f"edit {number}\n")
            spent += build(top, options.jobs, number)
            if number % options.every == 0:
                now, first = state(top), fresh(top, options.jobs, number)
                worst = max(worst, now / first)
                print(
                    f"{number:6} {now / 1e3:9.0f} {first / 1e3:9.0f} {now / first:6.2f} {spent / options.every:8.2f}",
                    flush=True,
                )
                spent = 0.0
        print(f"largest ratio: {worst:.2f}")


if __name__ == "__main__":
    main()
