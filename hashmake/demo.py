"""`hashmake demo`: stock make and hashmake beside each other on one tree, and proof that the products are the same.

Every stage (cold build, nothing changed, sources touched, ...) is played twice at the same path, first with stock make,
then with hashmake. After each, the whole tree is compared with what a clean build by stock make leaves there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PACKAGE = os.path.dirname(os.path.abspath(__file__))
# Finds this very package, installed or in a checkout, whatever the working directory is.
HASHMAKE = (
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {os.path.dirname(PACKAGE)!r}); from hashmake.front import main; sys.exit(main())",
)
PINNED = {
    "KBUILD_BUILD_TIMESTAMP": "2026-01-01",
    "KBUILD_BUILD_USER": "demo",
    "KBUILD_BUILD_HOST": "demo",
    "KBUILD_BUILD_VERSION": "1",
    "LC_ALL": "C",
}
# A command that ran, as Kbuild-like makefiles announce it: "  CC      kernel/fork.o".
ANNOUNCED = re.compile(rb"^  [A-Z][A-Z0-9]+( \[M\])? +\S", re.MULTILINE)

Snapshot = dict[str, bytes]


class DemoError(Exception):
    """Something the demo needs did not work; the message says what."""


@dataclass(frozen=True)
class Stage:
    """One change to the sources and the build after it."""

    name: str
    change: Callable[[str], None]
    state: str  # what the sources are now: stages with equal contents share a name, so one clean build serves them


@dataclass
class Row:
    """What one build of one stage did."""

    announced: int
    wall: float
    steps: str = ""  # steps that hashmake ran, and whether it needed make for it
    differing: list[str] = field(default_factory=list)


class Project(Protocol):
    """A source tree to play the stages on."""

    name: str
    tree: str  # the sources; builds run here
    arguments: list[str]  # for make
    products: str  # directory compared after each build
    counters: frozenset[str]  # files that count builds: a clean build is always the first
    stages: list[Stage]

    def reset(self, build: Callable[[list[str]], bytes]) -> None:
        """Bring sources and output directory back to how they were before the first build."""


# ---- changes to sources ----------------------------------------------------------------------------------------------


def write(path: str, text: str) -> None:
    """Replace a source file's content, as an editor does."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def append(path: str, text: str) -> Callable[[str], None]:
    """Make a change that adds text at the end of a file."""

    def change(tree: str) -> None:
        with open(os.path.join(tree, path), "a", encoding="utf-8") as file:
            file.write(text)

    return change


def append_keeping_date(path: str, text: str) -> Callable[[str], None]:
    """Make a change that leaves the file's time alone, as cp -p, rsync -t, tar and restored caches may."""

    def change(tree: str) -> None:
        full = os.path.join(tree, path)
        before = os.stat(full)
        append(path, text)(tree)
        os.utime(full, ns=(before.st_atime_ns, before.st_mtime_ns))

    return change


def take_back(path: str, text: str) -> Callable[[str], None]:
    """Make a change that undoes append."""

    def change(tree: str) -> None:
        full = os.path.join(tree, path)
        with open(full, encoding="utf-8") as file:
            content = file.read()
        write(full, content.removesuffix(text))

    return change


def touch_all(sources: Callable[[str], Iterable[str]]) -> Callable[[str], None]:
    """Make a change that gives all sources a new time and the content they had, as git checkout or a clone does."""

    def change(tree: str) -> None:
        for path in sources(tree):
            os.utime(path, follow_symlinks=False)

    return change


def nothing(_tree: str) -> None:
    """Change nothing."""


def files_below(top: str) -> Iterator[str]:
    """All files and links below a directory, hashmake's own state left out."""
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != ".hashmake"]
        yield from (os.path.join(folder, name) for name in names)


# ---- the two projects ------------------------------------------------------------------------------------------------


class Calculator:
    """The tree in the package: 26 compilations, recursive make, generated headers, thin archives."""

    name = "calculator (a small tree shaped like the kernel's)"
    counters: frozenset[str] = frozenset()

    def __init__(self, work: str, jobs: int) -> None:
        self.tree = self.products = os.path.join(work, "calc")
        self.arguments = [f"-j{jobs}"]
        faster = "/* faster */\nint op_pow_version = 2;\n"
        self.stages = [
            Stage("cold build", nothing, "as it was"),
            Stage("nothing changed", nothing, "as it was"),
            Stage("all sources touched", touch_all(self._sources), "as it was"),
            Stage("one .c file edited", append("ops/pow.c", faster), "edited"),
            Stage("edit taken back", take_back("ops/pow.c", faster), "as it was"),
            Stage("comment in a header", append("include/calc/number.h", "/* a comment */\n"), "comment"),
            Stage("edit that kept its date", append_keeping_date("ops/max.c", "int op_max_version = 2;\n"), "dated"),
        ]

    def _sources(self, tree: str) -> Iterator[str]:
        packaged = os.path.join(PACKAGE, "demo_tree")
        for path in files_below(packaged):
            yield os.path.join(tree, os.path.relpath(path, packaged))

    def reset(self, _build: Callable[[list[str]], bytes]) -> None:
        """Copy the packaged tree afresh."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(os.path.join(PACKAGE, "demo_tree"), self.tree)
        shutil.copyfile(os.path.join(self.tree, "defconfig"), os.path.join(self.tree, ".config"))


class Linux:
    """A kernel's source tree, tinyconfig, built into a directory of its own."""

    counters = frozenset({".version"})

    def __init__(self, work: str, jobs: int, source: str) -> None:
        self.tree = os.path.join(work, "linux")
        self.products = os.path.join(work, "out")
        self.arguments = [f"O={self.products}", f"-j{jobs}"]
        self._unpack(source, work)
        self.name = f"Linux {self._version()} tinyconfig"
        added = "\nint hashmake_demo(int n);\nint hashmake_demo(int n)\n{\n\treturn n + 1;\n}\n"
        self.stages = [
            Stage("cold build", nothing, "as it was"),
            Stage("nothing changed", nothing, "as it was"),
            Stage("all sources touched", touch_all(files_below), "as it was"),
            Stage("one .c file edited", append("kernel/fork.c", added), "edited"),
            Stage("edit taken back", take_back("kernel/fork.c", added), "as it was"),
            Stage("comment in a header", append("include/linux/list.h", "/* a comment */\n"), "comment"),
            Stage("edit that kept its date", append_keeping_date("kernel/exit.c", added), "dated"),
        ]
        edited = ("kernel/fork.c", "kernel/exit.c", "include/linux/list.h")
        self._originals = {name: self._read(name) for name in edited}

    def _unpack(self, source: str, work: str) -> None:
        if os.path.lexists(self.tree) or os.path.lexists(self.products):
            raise DemoError(f"{work}: holds a 'linux' or 'out' already; give an empty --work directory")
        os.mkdir(self.tree)
        if os.path.isdir(source):
            run(["cp", "-a", "--reflink=auto", os.path.join(os.path.abspath(source), "."), self.tree], work)
        else:
            run(["tar", "-xf", os.path.abspath(source), "--strip-components=1", "-C", self.tree], work)
        if not os.path.exists(os.path.join(self.tree, "Kbuild")):
            raise DemoError(f"{source}: no Linux source tree (it has no file Kbuild)")
        run(["make", "-s", "mrproper"], self.tree)

    def _version(self) -> str:
        return run(["make", "-s", "kernelversion"], self.tree).stdout.decode().strip()

    def _read(self, name: str) -> str:
        with open(os.path.join(self.tree, name), encoding="utf-8") as file:
            return file.read()

    def reset(self, build: Callable[[list[str]], bytes]) -> None:
        """Take all edits back, empty the output directory and configure."""
        for name, text in self._originals.items():
            if self._read(name) != text:
                write(os.path.join(self.tree, name), text)
        shutil.rmtree(self.products, ignore_errors=True)
        os.mkdir(self.products)
        build([*self.arguments, "tinyconfig"])


# ---- running and comparing -------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """What the builds get: the caller's environment, less what belongs to a make or hashmake around the demo."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES"} and not name.startswith("HASHMAKE_")
    }
    return kept | PINNED


def run(command: list[str], where: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program that has to succeed."""
    done = subprocess.run(
        command, cwd=where, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        tail = (done.stdout[-1500:] + done.stderr[-1500:]).decode(errors="replace")
        raise DemoError(f"{' '.join(command)}: exit status {done.returncode}\n{tail}")
    return done


def snapshot(top: str) -> Snapshot:
    """Digest of every file (or target of every link) below a directory."""
    found: Snapshot = {}
    for path in files_below(top):
        name = os.path.relpath(path, top)
        if os.path.islink(path):
            found[name] = os.readlink(path).encode()
        else:
            with open(path, "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").digest()
    return found


def differences(one: Snapshot, other: Snapshot, ignored: frozenset[str] = frozenset()) -> list[str]:
    """Names that only one of two trees has, or that have different contents."""
    names = one.keys() | other.keys()
    return sorted(name for name in names - ignored if one.get(name) != other.get(name))


def say(text: str) -> None:
    """Tell what goes on now; the table on standard output comes at the end."""
    print(text, file=sys.stderr, flush=True)


def clean_builds(project: Project) -> dict[str, Snapshot]:
    """Build each state of the sources from nothing with stock make."""
    found: dict[str, Snapshot] = {}
    for number, stage in enumerate(project.stages):
        if stage.state in found:
            continue
        say(f"clean build by stock make, to compare with: {stage.state}")
        project.reset(builder(project, "make"))
        for earlier in project.stages[: number + 1]:
            earlier.change(project.tree)
        builder(project, "make")(project.arguments)
        found[stage.state] = snapshot(project.products)
    return found


def builder(project: Project, *tool: str) -> Callable[[list[str]], bytes]:
    """Give the function that builds with one tool and returns what it printed."""
    return lambda arguments: run([*tool, *arguments], project.tree).stdout


def play(project: Project, who: str, *tool: str) -> Iterator[tuple[Stage, Row]]:
    """Go through all stages with one tool, from nothing."""
    build = builder(project, *tool)
    project.reset(build)
    for stage in project.stages:
        stage.change(project.tree)
        say(f"{who}: {stage.name}")
        started = time.monotonic()
        printed = build(project.arguments)
        yield stage, Row(len(ANNOUNCED.findall(printed)), time.monotonic() - started)


def steps_of_last_build(project: Project) -> str:
    """What hashmake's own log says about the build that has just ended."""
    log = json.loads(run([*HASHMAKE, "log", "--json"], project.products).stdout)
    steps = log["steps"]
    restored = f", {steps['restored']} restored" if steps["restored"] else ""
    return f"{steps['run']}{restored}" + (", make not started" if log["mode"] != "make" else "")


def compare(project: Project) -> tuple[list[Row], list[Row]]:
    """Play all stages with both tools and compare each result with the clean build's."""
    clean = clean_builds(project)
    stock, ours = [], []
    for stage, row in play(project, "stock make", "make"):
        row.differing = differences(snapshot(project.products), clean[stage.state], project.counters)
        stock.append(row)
    for stage, row in play(project, "hashmake", *HASHMAKE, "build"):
        row.steps = steps_of_last_build(project)
        row.differing = differences(snapshot(project.products), clean[stage.state])
        ours.append(row)
    return stock, ours


def table(project: Project, stock: list[Row], ours: list[Row]) -> list[str]:
    """Lay the rows of both tools side by side."""
    lines = [
        f"{project.name}, {len(snapshot(project.products))} files compared after every build",
        "",
        f"{'':26}{'stock make':>24}   {'hashmake':>18}",
        f"{'':26}{'commands':>8}{'time':>9}{'right':>7}   {'commands':>8}{'time':>9}{'right':>7}   steps run",
    ]
    for stage, theirs, mine in zip(project.stages, stock, ours, strict=True):
        right = "WRONG" if theirs.differing else "yes"
        ok = "WRONG" if mine.differing else "yes"
        lines.append(
            f"{stage.name:26}{theirs.announced:>8}{theirs.wall:>7.2f} s{right:>7}"
            f"   {mine.announced:>8}{mine.wall:>7.2f} s{ok:>7}   {mine.steps}"
        )
    return lines


def options(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="hashmake demo", description="hashmake and stock make on the same tree.")
    parser.add_argument("--linux", metavar="TARBALL-OR-DIR", help="play it on a kernel's sources instead (a copy)")
    parser.add_argument("--work", metavar="DIR", help="work here and leave the trees (default: a temporary directory)")
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="jobs for make")
    return parser.parse_args(argv)


def demonstrate(chosen: argparse.Namespace, work: str) -> int:
    """Play, print the table and what differs, and return the exit status."""
    PINNED["HASHMAKE_STORE"] = store = os.path.join(work, "store")  # what earlier demos have left is not shown
    shutil.rmtree(store, ignore_errors=True)
    project: Project = Linux(work, chosen.jobs, chosen.linux) if chosen.linux else Calculator(work, chosen.jobs)
    stock, ours = compare(project)
    print("\n".join(table(project, stock, ours)))
    wrong = [name for row in ours for name in row.differing]
    print()
    if wrong:
        print(f"hashmake's products differ from a clean build's: {', '.join(dict.fromkeys(wrong))}")
        return 1
    print("After every build hashmake's files were, byte for byte, those of a clean build by stock make.")
    if any(row.differing for row in stock):
        print("WRONG: stock make left files that a clean build makes differently.")
    return 0


def main(argv: list[str]) -> int:
    """Run the demo; 0 when hashmake was right every time, 1 when not, 2 when it could not be played."""
    chosen = options(argv)
    try:
        if chosen.work:
            os.makedirs(chosen.work, exist_ok=True)
            return demonstrate(chosen, os.path.realpath(chosen.work))
        with tempfile.TemporaryDirectory(prefix="hashmake-demo-") as work:
            return demonstrate(chosen, os.path.realpath(work))
    except (DemoError, OSError) as error:
        say(f"hashmake demo: {error}")
        return 2
