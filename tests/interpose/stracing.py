"""What strace saw a program do to files, to compare a trace with; knows nothing of wrappers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from . import harness

LINE = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (-?\d+)(?:<[^>]*>)?(?: (\w+))?")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. \w+ resumed>(.*)")
AT = re.compile(r'^(?:AT_FDCWD<([^>]*)>|(?:-?\d+)<([^>]*)>|(-?\d+)|AT_FDCWD), "((?:[^"\\]|\\.)*)"')
PLAIN = re.compile(r'^"((?:[^"\\]|\\.)*)"')


class Call(NamedTuple):
    """One system call that names a file: the path is absolute and lexically normal."""

    name: str
    path: str
    flags: str
    error: str


def joined(lines: list[str]) -> list[str]:
    """Put calls together that strace had to split because another thread made one."""
    whole: list[str] = []
    waiting: dict[str, str] = {}
    for line in lines:
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            waiting[pid] = line[: -len("<unfinished ...>")].rstrip()
        elif match := RESUMED.match(line):
            whole.append(waiting.pop(match[1], f"{match[1]} lost(") + match[2])
        else:
            whole.append(line)
    return whole


def parse(lines: list[str], folder: Path) -> list[Call]:
    """Read the calls with paths out of strace's output."""
    calls = []
    for line in joined(lines):
        if not (match := LINE.match(line)):
            continue
        name, arguments, result, error = match.groups()
        base, rest = str(folder), arguments
        if at := AT.match(arguments):
            base, path, rest = at[1] or at[2] or base, at[4], arguments[at.end() :]
        elif plain := PLAIN.match(arguments):
            path, rest = plain[1], arguments[plain.end() :]
        else:
            continue
        if "AT_EMPTY_PATH" in rest:
            continue
        failed = (error or "?") if result == "-1" else ""
        calls.append(Call(name, str(Path(base, path)), rest, failed))
    return calls


def strace(run: harness.RunDirectory, folder: Path, *command: str | Path) -> list[Call]:
    """Run a command under strace and the interposer, and give what strace saw."""
    output = run.folder / "strace"
    options = ["-f", "-y", "-s", "4096", "-e", "trace=%file,execveat", "-e", "signal=none", "-o", str(output)]
    for name in ("HASHMAKE_RUN", "HASHMAKE_STEP", "LD_PRELOAD"):
        options += ["-E", f"{name}={run.environment()[name]}"]
    subprocess.run(["strace", *options, *map(str, command)], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return parse(output.read_text().splitlines(), folder)
