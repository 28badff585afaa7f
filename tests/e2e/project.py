"""A project as its user sees it: write, edit, build, and the verdict of a clean build at the same path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import tool
from .running import Running, drained
from .snapshot import Entry, contents, differences, identities, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ANCIENT = 1577836800  # 2020-01-01
PATIENCE = 60


@dataclass(frozen=True)
class Mode:
    """How time passes between the steps of a case; no verdict may depend on it."""

    name: str
    pause: float = 0.0
    equal_times: bool = False


MODES = (Mode("no-pause"), Mode("pause-30ms", pause=0.03), Mode("equal-mtimes", equal_times=True))


@dataclass(frozen=True)
class Result:
    """One build, and how to repeat it with make in a clean tree."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    cwd: Path
    umask: int
    status: int
    out: str
    err: str
    runs: list[str]

    def count(self, *tools: str) -> int:
        """How often these tools ran; any logged tool when none is named."""
        return sum(1 for line in self.runs if not tools or line.split()[0] in tools)


@dataclass(frozen=True)
class Clean:
    """What a from-scratch stock make gave."""

    status: int
    out: str
    err: str
    contents: dict[str, Entry]


@dataclass
class Project:
    """A source tree, the same sources kept clean beside it, and the tools that count their runs."""

    root: Path
    mode: Mode
    environment: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022
    prefix: tuple[str, ...] = ()  # a program that starts the build, and the clean one, in other surroundings
    built: bool = False
    share_files: bool = False  # the clean copy takes the sources as hard links: for trees of thousands of files

    @classmethod
    def create(cls, root: Path, shim: Path, mode: Mode, python_path: str) -> Project:
        """An empty project below `root`."""
        for name in ("tree", "sources", "home"):
            (root / name).mkdir()
        (root / "runs.log").touch()
        tool.install_shims(shim, root / "bin")
        environment = {"PATH": f"{root}/bin:/usr/bin:/bin", "HOME": f"{root}/home", "LC_ALL": "C"}
        if python_path:
            environment["PYTHONPATH"] = python_path
        return cls(root, mode, environment)

    @property
    def tree(self) -> Path:
        """Where the project is built, by the tool under test and by the clean make alike."""
        return self.root / "tree"

    @property
    def sources(self) -> Path:
        """What the user wrote and nothing else."""
        return self.root / "sources"

    # -- what the user does to sources: the clean build sees it too ---------------------------------------------

    def write(self, path: str, text: str) -> None:
        """Create or replace a source, as an editor does that writes in place."""
        self._change(lambda base: _write(base / path, text))

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace `old`, which must be there, by `new`."""
        text = (self.sources / path).read_text()
        assert old in text, f"{path} does not hold {old!r}"
        self.write(path, text.replace(old, new))

    def delete(self, path: str) -> None:
        """Remove a source file or directory."""
        self._change(lambda base: _remove(base / path))

    def rename(self, old: str, new: str) -> None:
        """Move a source; its times move with it."""
        self._change(lambda base: _rename(base / old, base / new))

    def link(self, path: str, target: str) -> None:
        """Let a symbolic link point at `target`."""
        self._change(lambda base: _link(base / path, target))

    def chmod(self, path: str, mode: int) -> None:
        """Change a source's permissions."""
        self._change(lambda base: (base / path).chmod(mode))

    def script(self, path: str, text: str) -> None:
        """Write an executable source."""
        self.write(path, text)
        self.chmod(path, 0o755)

    def copy_in(self, path: str, original: Path) -> None:
        """Take a file from elsewhere as a source, permissions included."""
        self._change(lambda base: _copy(original, base / path))

    def _change(self, action: Callable[[Path], object]) -> None:
        self._pass_time()
        for base in (self.tree, self.sources):
            action(base)

    # -- what happens to the tree alone: times, and products ----------------------------------------------------

    def touch(self, *paths: str, date: float | None = None) -> None:
        """Give names (all, when none is given) a date without a change of content; now, when none is given."""
        self._pass_time()
        stamp = time.time() if date is None else date
        for name in paths or tuple(names(self.tree)):
            os.utime(self.tree / name, (stamp, stamp), follow_symlinks=False)

    def lose(self, *paths: str) -> None:
        """Delete products."""
        self._pass_time()
        for path in paths:
            _remove(self.tree / path)

    def damage(self, path: str, text: str = "damaged\n") -> None:
        """Overwrite a product by hand."""
        self._pass_time()
        (self.tree / path).write_text(text)

    def text(self, path: str) -> str:
        """What a file of the built tree holds."""
        return (self.tree / path).read_text()

    def has(self, path: str) -> bool:
        """Whether the built tree has this name."""
        return os.path.lexists(self.tree / path)

    # -- building -------------------------------------------------------------------------------------------------

    def attempt(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Result:
        """Build with the tool under test, whatever comes out."""
        return self.start(*arguments, cwd=cwd, **variables).finish()

    def build(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Result:
        """Build; it must succeed."""
        result = self.attempt(*arguments, cwd=cwd, **variables)
        assert result.status == 0, f"status {result.status}\n{result.out}{result.err}"
        return result

    def rebuild(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Result:
        """The build after an edit: in the third mode every time in the tree is made equal first."""
        self._pass_time()
        if self.mode.equal_times:
            self.level_times()
        return self.attempt(*arguments, cwd=cwd, **variables)

    def start(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Build:
        """Start a build and leave it running."""
        environment = {**self.environment, **variables}
        where = cwd or self.tree
        logged = len(self._logged())
        running = Running.start([*self.prefix, *tool.build_command(), *arguments], where, environment, self.umask)
        self.built = True
        return Build(self, running, arguments, environment, where, logged)

    def stock(self, *arguments: str) -> tuple[int, str]:
        """Stock make in the tree: its exit status, and what it said on standard error."""
        command = ["make", *arguments]
        done = subprocess.run(command, cwd=self.tree, env=self.environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    def level_times(self) -> None:
        """Give everything in the tree one date, the tool's own state included."""
        for directory, below, files in os.walk(self.tree, topdown=False):
            for name in below + files:
                os.utime(os.path.join(directory, name), (ANCIENT, ANCIENT), follow_symlinks=False)

    def _pass_time(self) -> None:
        if self.built:
            time.sleep(self.mode.pause)

    def _logged(self) -> list[str]:
        return (self.root / "runs.log").read_text(errors="replace").splitlines()

    # -- verdicts -------------------------------------------------------------------------------------------------

    def check(self, result: Result, runs: int | None = None, extra: tuple[str, ...] = (), settle: float = 0) -> None:
        """The tree is as a clean make of the same sources leaves it, with at most `runs` tool runs; then a null build.

        Names in `extra` may be left over from before. A clean build that fails must have failed here too.
        """
        clean = self.clean_build(result, settle)
        agree = (result.status == 0) == (clean.status == 0)
        assert agree, self._story(result, f"a clean make ends in {clean.status}", clean.err)
        wrong = differences(contents(self.tree), clean.contents, extra)
        assert not wrong, self._story(result, *(f"not as in a clean build: {difference}" for difference in wrong))
        if runs is not None:
            assert len(result.runs) <= runs, self._story(result, f"more than {runs} runs")
        if clean.status == 0 and runs is not None:
            self.check_null(result)

    def check_null(self, result: Result) -> None:
        """The same build once more runs no tool, writes nothing, and does not start make."""
        before = identities(self.tree)
        again = self._again(result)
        assert again.status == 0, self._story(again, "the build without an edit failed")
        assert not again.runs, self._story(again, "the build without an edit ran tools")
        assert identities(self.tree) == before, self._story(again, "the build without an edit wrote files")
        if not tool.is_stock_make():
            assert self.log()["mode"] == "null", self._story(again, "the build without an edit started make")

    def clean_build(self, result: Result, settle: float = 0) -> Clean:
        """What a from-scratch stock make of the same sources gives at the same path."""
        kept = self.root / "kept"
        self.tree.rename(kept)
        try:
            copy = os.link if self.share_files else shutil.copy2
            shutil.copytree(self.sources, self.tree, symlinks=True, copy_function=copy)
            command = [*self.prefix, "make", *result.arguments]
            make = Running.start(command, result.cwd, result.environment, result.umask)
            status, out, err = make.finish(PATIENCE)
            time.sleep(settle)
            return Clean(status, out, err, contents(self.tree))
        finally:
            shutil.rmtree(self.tree)
            kept.rename(self.tree)

    def _again(self, result: Result) -> Result:
        return self.attempt(*result.arguments, cwd=result.cwd, **result.environment)

    def _story(self, result: Result, *judgements: str) -> str:
        command = " ".join(("build", *result.arguments))
        lines = [*judgements, f"{command}: status {result.status}, ran {result.runs}", result.out, result.err]
        return "\n".join(lines)

    def log(self) -> dict[str, Any]:
        """`hashmake log --json` of the last build."""
        command = tool.verb_command("log", "--json")
        done = subprocess.run(command, cwd=self.tree, env=self.environment, capture_output=True, check=True)
        record: dict[str, Any] = json.loads(done.stdout)
        return record


@dataclass(frozen=True)
class Build:
    """A build under way."""

    project: Project
    running: Running
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    logged: int

    def finish(self) -> Result:
        """Wait for its end."""
        status, out, err = self.running.finish(PATIENCE)
        runs = self.project._logged()[self.logged :]
        environment, umask = dict(self.environment), self.project.umask
        return Result(self.arguments, environment, self.cwd, umask, status, out, err, runs)

    def abandon(self) -> Result:
        """Wait until everything that it started is gone too."""
        result = self.finish()
        assert drained(self.running.session, PATIENCE), "processes of the build are still there"
        return result


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.fsencode(text))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _rename(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    old.rename(new)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _copy(original: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    shutil.copy2(original, path)
