#!/usr/bin/env python3
"""What the interposer costs a process: per start, and per call that it stands in for.

    benchmarks/bench_interposer.py [--starts 2000] [--calls 200000] [--repeat 5]

Starts /bin/true many times, and makes many calls of one kind, with and without libhashmake.so (the one in
hashmake/interpose/, see tests/run --build) in LD_PRELOAD. A run directory with a view and a trace, as
hashmake/interpose/events.h describes them, is laid out here; there is no supervisor, so this is the cost inside the
traced processes alone.
"""

from __future__ import annotations

import argparse
import mmap
import os
import re
import struct
import subprocess
import sys
import tempfile

import measure

PROGRAM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* load WHAT COUNT DIR: prints seconds of wall time. DIR holds files f0 to f999. */
int main(int argc, char **argv)
{
	const char *what = argv[1];
	int count = atoi(argv[2]);
	char path[4096];
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < count; i++) {
		struct stat st;
		int fd;

		if (!strcmp(what, "start")) {
			char *args[] = { "true", NULL };
			pid_t pid;

			if (posix_spawn(&pid, "/bin/true", NULL, NULL, args, environ) || waitpid(pid, NULL, 0) < 0)
				return 1;
			continue;
		}
		if (strstr(what, "new"))
			snprintf(path, sizeof path, "%s/absent%d", argv[3], i);
		else
			snprintf(path, sizeof path, "%s/f%d", argv[3], i % 1000);
		if (!strncmp(what, "open", 4)) {
			fd = open(path, O_RDONLY);
			if (fd >= 0)
				close(fd);
		} else {
			stat(path, &st);
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.9f\n", to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) / 1e9);
	return 0;
}
"""
KINDS = {
    "start": "start of /bin/true",
    "open": "open and close, 1,000 files again and again",
    "stat": "stat, 1,000 files again and again",
    "open-new": "open of absent files, another one each time",
    "stat-new": "stat of absent files, another one each time",
}
VIEW_ENTRIES = 1 << 16
CACHE_SLOTS = 1 << 12
VIEW = struct.Struct("=II7Q")  # struct hm_view
TRACE = struct.Struct("=IIQQIII5I")  # struct hm_trace


def constants() -> dict[str, int]:
    """Read the numbers of events.h, so that a new version of it is noticed here."""
    with open(os.path.join(measure.ROOT, "hashmake", "interpose", "events.h"), encoding="utf-8") as file:
        found = re.findall(r"#define (HM_\w+) (0x[0-9a-f]+|\d+)u?\b", file.read())
    return {name: int(value, 0) for name, value in found}


def lay_out(run: str) -> None:
    """Make the run directory of a build that has one step, number 1, and knows no products."""
    known = constants()
    assert known["HM_VERSION"] == 2, "events.h has changed: look whether this layout is still right"
    os.makedirs(os.path.join(run, "t"))
    with open(os.path.join(run, "view"), "wb") as file:
        file.write(VIEW.pack(known["HM_VIEW_MAGIC"], 1, VIEW_ENTRIES, 0, 0, CACHE_SLOTS, 0, 0, 0))
        file.truncate(VIEW.size + 16 * VIEW_ENTRIES + 8 * CACHE_SLOTS)
    new_trace(run)


def new_trace(run: str) -> None:
    """Give the step an empty trace file."""
    known = constants()
    size = known["HM_TRACE_FIRST"]
    path = os.path.join(run, "t", "1")
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        file.write(TRACE.pack(known["HM_TRACE_MAGIC"], 1, TRACE.size, size, 0, 0, 0, *[0] * 5))


def records(run: str) -> int:
    """Count what is in the trace, to show that it was written."""
    with (
        open(os.path.join(run, "t", "1"), "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        tail = struct.unpack_from("=Q", data, 8)[0]
        return data[TRACE.size : tail].count(b"\0")


def timed(program: str, kind: str, count: int, files: str, env: dict[str, str]) -> float:
    """Seconds for one call of a kind."""
    done = subprocess.run([program, kind, str(count), files], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind}: exit status {done.returncode}\n{done.stderr}")
    return float(done.stdout) / count


def row(program: str, kind: str, count: int, work: str, repeat: int) -> list[str]:
    """Measure one kind without and with the interposer, in turn."""
    run = os.path.join(work, "run")
    library = os.path.join(measure.ROOT, "hashmake", "interpose", "libhashmake.so")
    bare = measure.environment()
    traced = measure.environment(LD_PRELOAD=library, HASHMAKE_RUN=run, HASHMAKE_STEP="1")
    without, within = [], []
    for _ in range(repeat):
        without.append(timed(program, kind, count, work, bare))
        new_trace(run)
        within.append(timed(program, kind, count, work, traced))
    extra = min(within) - min(without)
    return [
        KINDS[kind],
        measure.spread(without, 1e-6),
        measure.spread(within, 1e-6),
        f"{extra * 1e6:.3f}",
        str(records(run)),
    ]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--starts", type=int, default=2000)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    print(measure.origin())
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-") as work:
        lay_out(os.path.join(work, "run"))
        program = os.path.join(work, "load")
        with open(program + ".c", "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        subprocess.run(["gcc", "-O2", "-w", "-o", program, program + ".c"], check=True)
        for n in range(1000):
            with open(os.path.join(work, f"f{n}"), "w", encoding="utf-8"):
                pass
        counts = {kind: chosen.starts if kind == "start" else chosen.calls for kind in KINDS}
        lines = [row(program, kind, counts[kind], work, chosen.repeat) for kind in chosen.kinds]
    print(measure.table(["per call, microseconds", "without", "with", "extra", "records"], lines))


if __name__ == "__main__":
    main()
