"""What the benchmarks share: run a program and weigh it, repeat, print a table that says where it comes from."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The checkout's hashmake, not one that happens to be installed.
HASHMAKE = (
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {ROOT!r}); from hashmake.front import main; sys.exit(main())",
)
TICKS = os.sysconf("SC_CLK_TCK")
# An installed hashmake has its bytecode; PYTHONDONTWRITEBYTECODE would have it compiled at every start.
CLEARED = {"PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES", "LD_PRELOAD"}


@dataclass(frozen=True)
class Usage:
    """What one run of a program and its children took."""

    wall: float  # seconds
    cpu: float  # user + system seconds, of the program and all children it waited for
    own_cpu: float  # of the program alone (sampled, so a little low)
    own_rss: int  # peak resident bytes of the program alone (sampled)
    tree_rss: int  # peak resident bytes of the largest process of all
    status: int
    output: bytes

    def __add__(self, then: Usage) -> Usage:
        """This run and the one that had to follow it."""
        return Usage(
            self.wall + then.wall,
            self.cpu + then.cpu,
            self.own_cpu + then.own_cpu,
            max(self.own_rss, then.own_rss),
            max(self.tree_rss, then.tree_rss),
            then.status,
            self.output + then.output,
        )


def environment(**extra: str) -> dict[str, str]:
    """Give the environment of every measured build: nothing of a make or hashmake outside, Kbuild's stamps pinned."""
    kept = {n: v for n, v in os.environ.items() if n not in CLEARED and not n.startswith("HASHMAKE_")}
    pinned = {
        "KBUILD_BUILD_TIMESTAMP": "2026-01-01",
        "KBUILD_BUILD_USER": "bench",
        "KBUILD_BUILD_HOST": "bench",
        "KBUILD_BUILD_VERSION": "1",
        "LC_ALL": "C",
        "HASHMAKE_STORE": "off",  # what an earlier run has left is not what is measured
    }
    return kept | pinned | extra


class Sampler(threading.Thread):
    """Reads a process's own CPU time and peak memory from /proc until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.cpu = 0.0
        self.rss = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample until told that the process has ended."""
        while not self.ended.wait(0.02):
            self.look()

    def look(self) -> None:
        """Take one sample; the last one stands when the process has gone."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            with open(f"/proc/{self.pid}/status", "rb") as file:
                peak = [line for line in file if line.startswith(b"VmHWM")]
        except (FileNotFoundError, ProcessLookupError):
            return
        self.cpu = max(self.cpu, (int(fields[11]) + int(fields[12])) / TICKS)
        if peak:
            self.rss = max(self.rss, int(peak[0].split()[1]) * 1024)


def run(command: list[str], where: str, env: dict[str, str] | None = None, may_fail: bool = False) -> Usage:
    """Run a program, which has to succeed unless it `may_fail`, and weigh it."""
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=where,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        assert child.stdout
        sampler = Sampler(child.pid)
        sampler.start()
        output = child.stdout.read()
        # Peeks without reaping, so that /proc still tells what the process took altogether.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        wall = time.perf_counter() - started
        sampler.ended.set()
        sampler.join()
        sampler.look()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode and not may_fail:
        sys.stdout.write(output[-3000:].decode(errors="replace"))
        sys.exit(f"{' '.join(command)}: exit status {child.returncode}")
    return Usage(
        wall,
        used.ru_utime + used.ru_stime,
        sampler.cpu,
        sampler.rss,
        used.ru_maxrss * 1024,
        child.returncode,
        output,
    )


def state_size(directory: str) -> int:
    """Bytes that hashmake's state takes on disk."""
    total = 0
    for folder, _, names in os.walk(os.path.join(directory, ".hashmake")):
        total += sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for name in names)
    return total


def load_time(directory: str) -> float:
    """Seconds to open the recording as every build does that starts make: the best of five."""
    code = (
        f"import sys, time; sys.path.insert(0, {ROOT!r})\n"
        "from hashmake.state.archive import Archive; from hashmake.state.database import Database\n"
        "began = time.perf_counter(); Archive(Database(sys.argv[1], readonly=True)).load()\n"
        "print(time.perf_counter() - began)"
    )
    command = [sys.executable, "-c", code, os.path.join(directory, ".hashmake", "db")]
    return min(float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(5))


def ratio(ours: list[float], theirs: list[float]) -> str:
    """The middle of the ratios of neighbours in time: a machine's speed may drift by a quarter within minutes."""
    return f"{statistics.median(mine / stock for mine, stock in zip(ours, theirs, strict=True)):.3f}"


def spread(values: list[float], unit: float = 1.0) -> str:
    """Best value, and how far the others are from it."""
    best, worst = min(values) / unit, max(values) / unit
    return f"{best:.3f}" if len(values) == 1 else f"{best:.3f}..{worst:.3f}"


def origin() -> str:
    """Name the commit and the machine, without which figures mean nothing. SystemExit where hashmake can't run."""
    if subprocess.run([*HASHMAKE, "--version"], capture_output=True, check=False).returncode:
        raise SystemExit(
            f"{sys.executable}: can't run {ROOT}/hashmake; use a Python that has its packages (pip install .)"
        )
    commit = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    load = os.getloadavg()[0]
    versions = f"Linux {platform.release()}, Python {platform.python_version()}, {make_version()}"
    return f"commit {commit}; {os.cpu_count()} x {model}; {versions}; load average {load:.1f} at the start"


def make_version() -> str:
    """First line of make --version."""
    return subprocess.run(["make", "--version"], capture_output=True, text=True, check=True).stdout.partition("\n")[0]


def table(header: list[str], rows: list[list[str]]) -> str:
    """Lay out rows: first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def megabytes(size: int) -> str:
    """Bytes as MB."""
    return f"{size / 1e6:.1f}"
