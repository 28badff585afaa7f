#!/usr/bin/env python3
"""How many steps a second the supervisor keeps up with on one core.

    benchmarks/bench_supervisor.py [--small 1000 5000] [--large 100 600] [--work DIR]

Makefiles whose recipes do next to nothing are built by hashmake from nothing, and the CPU time of hashmake's own
process (user + system from /proc/PID/stat, children not counted) is what its supervisor took: answering steps, taking
in traces, hashing what they read and wrote, recording. Two sizes of each kind are built, and the rate is the slope
between them, so that starting up is not counted.

    small  a step that copies a 20-byte source to its product: a launcher, one process, a few records
    large  a step that looks at what a kernel compilation looks at: 630 look-ups that fail, 520 files looked at and 350
           read, taken from 16,000 paths, and one product
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile

import measure
from measure import HASHMAKE, Usage, megabytes

LOOKS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* looks OUT LIST: does to each path of LIST what the letter before it says (n absent, s stat, r read); writes OUT. */
int main(int argc, char **argv)
{
	char line[512];
	FILE *list = fopen(argv[2], "r");
	FILE *out;
	int count = 0;

	while (list && fgets(line, sizeof line, list)) {
		struct stat st;
		int fd;

		line[strcspn(line, "\n")] = 0;
		if (*line == 'r') {
			fd = open(line + 2, O_RDONLY);
			close(fd);
		} else {
			stat(line + 2, &st);
		}
		count++;
	}
	out = fopen(argv[1], "w");
	fprintf(out, "%s %d\n", argv[2], count);
	return fclose(out);
}
"""
ABSENT, LOOKED, READ = 630, 520, 350  # of 1,500 records
PATHS = 16000


def put(path: str, content: str) -> None:
    """Write a file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def small(top: str, steps: int) -> None:
    """Write a project of steps that copy a few bytes."""
    os.makedirs(top)
    rules = ["all: " + " ".join(f"{n}.out" for n in range(steps))]
    for n in range(steps):
        put(os.path.join(top, f"{n}.in"), f"source number {n:5}\n")
        rules += [f"{n}.out: {n}.in", "\tcp $< $@"]
    put(os.path.join(top, "Makefile"), "\n".join(rules) + "\n")


def large(top: str, steps: int) -> None:
    """Write a project of steps that look at 1,500 paths each."""
    rng = random.Random(1)
    os.makedirs(top)
    put(os.path.join(top, "looks.c"), LOOKS)
    subprocess.run(["gcc", "-O2", "-w", "-o", "looks", "looks.c"], cwd=top, check=True)
    there = [f"{top}/h/d{n % 40}/header{n}.h" for n in range(PATHS // 4)]
    absent = [f"{top}/h/d{n % 40}/missing{n}.h" for n in range(PATHS * 3 // 4)]
    for path in there:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        put(path, f"#define H {path}\n" * 100)
    rules = ["all: " + " ".join(f"{n}.out" for n in range(steps))]
    for n in range(steps):
        seen = rng.sample(there, LOOKED + READ)
        lines = [f"n {path}" for path in rng.sample(absent, ABSENT)]
        lines += [f"s {path}" for path in seen[:LOOKED]] + [f"r {path}" for path in seen[LOOKED:]]
        rng.shuffle(lines)
        put(os.path.join(top, f"{n}.list"), "\n".join(lines) + "\n")
        rules += [f"{n}.out: {n}.list", "\t./looks $@ $<"]
    put(os.path.join(top, "Makefile"), "\n".join(rules) + "\n")


def build(top: str, jobs: int) -> Usage:
    """Build a project from nothing."""
    return measure.run([*HASHMAKE, "build", f"-j{jobs}", "-s"], top)


def rows(kind: str, sizes: list[int], work: str, jobs: int) -> list[list[str]]:
    """Build both sizes of one kind; the slope between them is the rate."""
    used: list[Usage] = []
    lines = []
    for steps in sizes:
        top = os.path.join(work, f"{kind}{steps}")
        (small if kind == "small" else large)(top, steps)
        used.append(build(top, jobs))
        cells = [f"{used[-1].wall:.2f}", f"{used[-1].own_cpu:.2f}", megabytes(used[-1].own_rss)]
        lines.append([f"{kind}, {steps} steps", *cells, megabytes(measure.state_size(top)), ""])
    per_step = (used[-1].own_cpu - used[0].own_cpu) / (sizes[-1] - sizes[0])
    lines[-1][-1] = f"{1 / per_step:.0f}" if per_step > 0 else "too fast to tell"
    return lines


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", type=int, nargs=2, default=[1000, 5000], metavar="STEPS")
    parser.add_argument("--large", type=int, nargs=2, default=[100, 600], metavar="STEPS")
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--work", help="directory for the projects (default: a temporary one)")
    chosen = parser.parse_args()
    print(measure.origin())
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-", dir=chosen.work) as work:
        lines = rows("small", chosen.small, os.path.realpath(work), chosen.jobs)
        lines += rows("large", chosen.large, os.path.realpath(work), chosen.jobs)
    print(measure.table("kind|wall s|supervisor CPU s|peak MB|state MB|steps per CPU second".split("|"), lines))


if __name__ == "__main__":
    main()
