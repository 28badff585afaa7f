"""What strace saw whole trees of processes do to paths, step by step, and whether the traces of the steps have it.

Which paths need no record is said in docs/trace-format.md, and read from there. The interposer's own system calls are
told from the program's by the address they come from: they lie in the part of the library that is mapped executable.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from . import harness

PAGE = Path(__file__).resolve().parents[2] / "docs" / "trace-format.md"
HEADING = "## Paths that need no record"
# Not %process: ends of processes are told anyway.
CALLS = "trace=%file,execveat,fchdir,clone,clone3,fork,vfork,mmap"
STRACE = ["strace", "-f", "-i", "-y", "--seccomp-bpf", "-s", "0", "-e", CALLS, "-e", "signal=none"]

LINE = re.compile(r"^(\d+) +\[([0-9a-f?]+)\] (.*)$")
CALL = re.compile(r"^(\w+)\((.*)\) += (0x[0-9a-f]+|-?\d+|\?)(?:<[^>]*>)?(?: (E\w+))?")
RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(.*)")
PLACE = re.compile(r'^(?:AT_FDCWD(?:<([^>]*)>)?|\d+<([^>]*)>|-?\d+), (?="|NULL)')
STRING = re.compile(r'^"((?:[^"\\]|\\.)*)"(?:, )?')
MAPPED = re.compile(r"^\w+, (\d+), [A-Z_|]*PROT_EXEC[A-Z_|]*, [A-Z_|]+, \d+<([^>]*)>")
BIRTH = re.compile(r"^(\d+) +\[[0-9a-f?]+\] (?:<\.\.\. )?(?:clone3?|v?fork)[( ].*= (\d+)(?:<[^>]*>)?$")
STEP = re.compile(r"/t/(\d+)$")

TWO = {"rename", "renameat", "renameat2", "link", "linkat"}
NO_NAME = {"fchdir", "clone", "clone3", "fork", "vfork", "mmap", "getcwd", "mount", "umount2"}
MISSING = ("ENOENT", "ENOTDIR", "ELOOP")
# What has to be in the trace after a call that succeeded: one of these letters.
KINDS_OF = {
    "w": "creat mkdir mkdirat mknod mknodat truncate symlink symlinkat",
    "u": "unlink unlinkat rmdir",
    "c": "chmod fchmodat chown lchown fchownat setxattr lsetxattr removexattr lremovexattr",
    "t": "utime utimes utimensat futimesat",
    "r": "execve execveat",
}
WANTED = {name: kind for kind, names in KINDS_OF.items() for name in names.split()}
CHANGED = "wumMtcn"


class Call(NamedTuple):
    """One system call on one path, absolute and lexically normal but for "..". `role` is 1 for a second path."""

    step: int
    program: str
    name: str
    path: str
    role: int
    flags: str
    error: str


class Exempt(NamedTuple):
    """A row of the page: these paths need no record, whatever the call or only when it failed."""

    pattern: str
    calls: str


def exempt() -> list[Exempt]:
    """Read the table in docs/trace-format.md."""
    section = PAGE.read_text().partition(HEADING)[2].partition("\n## ")[0]
    rows = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows += [Exempt(pattern, cells[1]) for pattern in re.findall(r"`([^`]+)`", cells[0])]
    assert rows
    assert {row.calls for row in rows} <= {"any", "failed", "recorded"}
    return rows


class _Process:
    """What is known of one process."""

    __slots__ = ("begun", "cwd", "image", "own", "step", "waiting")

    def __init__(self, parent: _Process | None, cwd: str) -> None:
        self.cwd: str = parent.cwd if parent else cwd
        self.image: str = parent.image if parent else ""
        self.step: int = parent.step if parent else 0
        self.own: range = parent.own if parent else range(0)
        self.waiting = ""
        self.begun: list[Call] = []  # the exec of a program that has not said yet to which step it belongs


def _text(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted
    return os.fsdecode(quoted.encode("latin-1").decode("unicode_escape").encode("latin-1"))


class Watch:
    """Reads strace's output. `library`, `run`: the interposer and the run directory, or how their paths end."""

    def __init__(self, library: str, cwd: Path) -> None:
        self._library = library
        self._cwd = str(cwd)
        self._parents: dict[str, list[str]] = defaultdict(list)
        self._processes: dict[str, _Process] = {}

    def families(self, lines: Iterable[str]) -> None:
        """Learn who started whom: a parent's clone may be told after its child's first calls."""
        for line in lines:
            if "clone" not in line and "fork" not in line:
                continue  # most lines: saves the search
            if born := BIRTH.match(line.rstrip()):
                self._parents[born[2]].append(born[1])

    def calls(self, lines: Iterable[str]) -> Iterator[Call]:
        """Give every call with a path that is not the interposer's own."""
        for line in lines:
            match = LINE.match(line)
            if not match:
                continue
            pid, address, text = match.groups()
            if text.startswith("+++"):
                yield from self._ended(pid)
                continue
            process = self._processes.get(pid)
            if process is None:
                process = self._processes[pid] = self._born(pid)
            if text.endswith("<unfinished ...>"):
                process.waiting = text[: -len("<unfinished ...>")].rstrip()
                continue
            if resumed := RESUMED.match(text):
                text = process.waiting + resumed[1]
            if call := CALL.match(text):
                yield from self._call(process, address, *call.groups())
        for pid in list(self._processes):
            yield from self._ended(pid)

    def _ended(self, pid: str) -> list[Call]:
        process = self._processes.pop(pid, None)
        if process is None and self._parents.get(pid):
            self._parents[pid].pop(0)  # it made no call: the number's next user is somebody else's child
        return process.begun if process else []

    def _born(self, pid: str) -> _Process:
        parents = self._parents.get(pid)
        parent = self._processes.get(parents.pop(0)) if parents else None
        return _Process(parent, self._cwd)

    def _call(
        self, process: _Process, address: str, name: str, arguments: str, result: str, error: str | None
    ) -> Iterator[Call]:
        failed = error or ("?" if result in ("-1", "?") else "")
        if name in NO_NAME:
            self._unnamed(process, name, arguments, result)
            return
        paths, flags = self._paths(process, name, arguments)
        own = "?" not in address and int(address, 16) in process.own
        ours = own or process.image.endswith("/hmstep")
        if ours and name == "openat" and (step := STEP.search(paths[0] if paths else "")) and not failed:
            process.step = int(step[1])
            yield from (call._replace(step=process.step) for call in process.begun)
            process.begun = []
        if name in ("execve", "execveat") and not failed and paths:
            # The kernel has thrown the old image away: nothing of ours is mapped until ld.so maps it.
            process.own = range(0)
            # Its own program again, as busybox starts its applets.
            process.image = process.image if paths[0] == "/proc/self/exe" else paths[0]
        elif name == "chdir" and not failed and paths:
            process.cwd = os.path.normpath(paths[0])
        if own and not name.startswith("exec"):
            return
        found = [Call(process.step, process.image, name, path, role, flags, failed) for role, path in enumerate(paths)]
        if name.startswith("exec") and not failed:
            yield from process.begun
            process.begun = found
        else:
            yield from found

    def _unnamed(self, process: _Process, name: str, arguments: str, result: str) -> None:
        if name == "mmap" and (mapped := MAPPED.match(arguments)) and mapped[2].endswith(self._library):
            process.own = range(int(result, 16), int(result, 16) + int(mapped[1]))
        elif name == "fchdir" and result == "0" and (place := re.match(r"\d+<([^>]*)>", arguments)):
            process.cwd = place[1]

    def _paths(self, process: _Process, name: str, rest: str) -> tuple[list[str], str]:
        paths = []
        if name in ("symlink", "symlinkat"):
            rest = rest[m.end() :] if (m := STRING.match(rest)) else rest
        for _ in range(2 if name in TWO else 1):
            base = process.cwd
            if place := PLACE.match(rest):
                if rest.startswith("AT_FDCWD") and place[1]:
                    process.cwd = base = place[1]
                elif place[2]:
                    base = place[2]
                rest = rest[place.end() :]
            if not (string := STRING.match(rest)):
                break
            if string[1]:
                paths.append(os.path.join(base, _text(string[1])))
            rest = rest[string.end() :]
        return paths, rest


class Traces:
    """The traces of steps, as sets of (kind, path)."""

    def __init__(self, traces: Mapping[int, harness.Trace]) -> None:
        self.unseen = {step: trace.texts("!") for step, trace in traces.items() if trace.texts("!")}
        self.lost = {step for step, trace in traces.items() if trace.lost}
        self._kinds: dict[int, dict[str, str]] = {}
        for step, trace in traces.items():
            kinds = self._kinds[step] = {}
            for kind, path in trace.records:
                kinds[path] = kinds.get(path, "") + kind
        self._real: dict[str, str] = {}

    def physical(self, path: str) -> str:
        """Resolve the directory part, as traces do."""
        head, tail = os.path.split(path.rstrip("/") or "/")
        while tail in (".", ".."):
            path = os.path.realpath(path)
            head, tail = os.path.split(path)
        if head not in self._real:
            self._real[head] = os.path.realpath(head)
        return os.path.join(self._real[head], tail)

    def has(self, call: Call) -> bool:
        """Whether the trace of the call's step tells of it."""
        kinds = self._kinds.get(call.step, {})
        path = self.physical(call.path)
        found = kinds.get(path, "") + kinds.get(os.path.realpath(path), "")
        wanted = wanted_kinds(call)
        if set(wanted) & set(found):
            return True
        return call.error in MISSING and any("n" in kinds.get(above, "") for above in parents(path))


def parents(path: str) -> Iterator[str]:
    """Every directory above: what is absent has nothing below it."""
    while len(path) > 1:
        path = os.path.dirname(path)
        yield path


def wanted_kinds(call: Call) -> str:
    """Give the letters of which one must be told of the path."""
    name = call.name
    if call.error in MISSING:
        return "nwuml" if call.error == "ENOENT" else "nwumlsar"
    if call.error:
        return "rslak" + CHANGED
    if name in TWO:
        return ("um" if name.startswith("rename") else "r") if call.role == 0 else "wM"
    if name in WANTED:
        return WANTED[name]
    if name.startswith("open") and "O_PATH" not in call.flags and "O_DIRECTORY" not in call.flags:
        return "w" if re.search(r"O_WRONLY|O_RDWR|O_TRUNC", call.flags) else "rs"
    return "slarwknM"  # it was there: any record of the path says so


def unrecorded(calls: Iterable[Call], traces: Traces, variables: Mapping[str, str]) -> set[Call]:
    """Every call that neither its step's trace nor the page accounts for; `variables` are the page's $NAMEs."""
    rows = []
    for pattern, when in exempt():
        filled = pattern
        for name, value in variables.items():
            filled = filled.replace(f"${name}", value)
        rows.append(Exempt(filled, when))
    missing = set()
    seen: set[tuple[object, ...]] = set()
    for call in calls:
        key = (call.step, call.name, call.path, call.error, call.role, call.program, call.flags)
        if key in seen:
            continue
        seen.add(key)
        if not spared(call, traces.physical(call.path), rows) and not traces.has(call):
            missing.add(call)
    return missing


def spared(call: Call, path: str, rows: list[Exempt]) -> bool:
    """Whether the first row that fits says that no record is needed."""
    if "O_TMPFILE" in call.flags:
        return True
    for pattern, when in rows:
        if fnmatchcase(path, pattern) or fnmatchcase(call.path, pattern):
            if when == "recorded":
                return False
            if when == "any" or call.error:
                return True
    return False


def watch(run: harness.RunDirectory, folder: Path, *command: str | Path, **more: str) -> list[Call]:
    """Run a command as step 1 under strace and the interposer, and give what strace saw of the program."""
    output = run.folder / "strace"
    options = ["-o", str(output)]
    environment = run.environment(**more)
    for name in ("HASHMAKE_RUN", "HASHMAKE_STEP", "LD_PRELOAD"):
        options += ["-E", f"{name}={environment[name]}"]
    outside = {k: v for k, v in environment.items() if k not in ("HASHMAKE_RUN", "HASHMAKE_STEP", "LD_PRELOAD")}
    words = [*STRACE, *options, *map(str, command)]
    done = subprocess.run(words, cwd=folder, env=outside, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    watcher = Watch(str(run.library), folder)
    with output.open(errors="surrogateescape") as lines:
        watcher.families(lines)
    with output.open(errors="surrogateescape") as lines:
        calls = list(watcher.calls(line.rstrip("\n") for line in lines))
    return [call._replace(step=1) for call in calls]
