#!/usr/bin/env python3
"""Many jobs with little room: what a build takes in descriptors, memory and /dev/shm.

    benchmarks/bench_many.py [--steps 30000] [-j 64] [--room 64] [--work DIR]

Runs in a mount namespace of its own (root, or `unshare -r`) in which /dev/shm has `--room` MB: traces and the view lie
there. "others" are make and the steps: the largest of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading

import generate
import measure
from measure import HASHMAKE, megabytes

INSIDE = "HASHMAKE_BENCH_ROOM"


class Watch(threading.Thread):
    """The most that a child of this process, and /dev/shm, held at once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.descriptors = 0
        self.used = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Look twenty times a second."""
        while not self.ended.wait(0.05):
            room = os.statvfs("/dev/shm")  # noqa: S108  # it is what is measured
            self.used = max(self.used, (room.f_blocks - room.f_bfree) * room.f_frsize)
            try:
                with open(f"/proc/self/task/{os.getpid()}/children") as file:
                    children = file.read().split()
                for child in children:
                    self.descriptors = max(self.descriptors, len(os.listdir(f"/proc/{child}/fd")))
            except OSError:
                continue


def inside(chosen: argparse.Namespace) -> None:
    """Give this process a /dev/shm of that size, seen by nobody else, and begin again in it."""
    room = f'mount -t tmpfs -o size={chosen.room}m none /dev/shm && exec "$@"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", room, "sh", sys.executable, *sys.argv]
    sys.exit(subprocess.run(command, env=os.environ | {INSIDE: "1"}, check=False).returncode)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=30000)
    parser.add_argument("-j", dest="jobs", type=int, default=64)
    parser.add_argument("--room", type=int, default=64, help="MB of /dev/shm")
    parser.add_argument("--work", help="directory for the project (default: a temporary one)")
    chosen = parser.parse_args()
    if INSIDE not in os.environ:
        inside(chosen)
    print(measure.origin())
    lines = []
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-", dir=chosen.work) as work:
        top = os.path.join(work, "many")
        generate.generate(top, generate.Shape(chosen.steps, False))
        for what in ("cold", "null"):
            watch = Watch()
            watch.start()
            usage = measure.run([*HASHMAKE, "build", f"-j{chosen.jobs}", "-s"], top)
            watch.ended.set()
            watch.join()
            lines.append(
                [
                    f"{chosen.steps} {what}",
                    f"{usage.wall:.1f}",
                    str(watch.descriptors),
                    megabytes(usage.own_rss),
                    megabytes(usage.tree_rss),
                    f"{megabytes(watch.used)} of {chosen.room}",
                ]
            )
        shutil.rmtree(top)
    print(measure.table("steps|wall s|descriptors|peak MB|others MB|/dev/shm MB".split("|"), lines))


if __name__ == "__main__":
    main()
