"""A small tree, built in a process of its own."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from e2e import tool
from hashmake.state.archive import Archive
from hashmake.state.database import BE, Database
from hashmake.state.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hashmake.model.recording import Recording
    from hashmake.model.result import Result

NOBODY = 65534


@dataclass(frozen=True)
class Tree:
    """A project to build; `outside` is a directory that no build has any business with."""

    root: Path
    outside: Path
    environment: dict[str, str]

    @property
    def state(self) -> Path:
        """Where hashmake keeps its state."""
        return self.root / ".hashmake"

    def makefile(self, text: str) -> None:
        (self.root / "Makefile").write_text(text)

    def start(self, *words: str, umask: int = 0o022) -> subprocess.Popen[str]:
        return subprocess.Popen(
            tool.verb_command(*words),
            cwd=self.root,
            env=self.environment,
            umask=umask,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, umask: int = 0o022) -> tuple[int, str, str]:
        process = self.start(*words, umask=umask)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def build(self, *words: str) -> str:
        """Standard error of a build, which must succeed."""
        status, out, err = self.run("build", *words)
        assert status == 0, out + err
        return err

    def doctor(self, change: Callable[[Recording, list[Result]], None]) -> None:
        """Alter the recording as somebody would who can compute checksums and seals."""
        state = StateDirectory(str(self.state))
        db = Database(state.database)
        archive = Archive(db)
        recording = archive.load()
        results = [recording.result(BE.unpack(key)[0]) for key, _ in db.scan(b"r")]
        known = [result for result in results if result is not None]
        change(recording, known)
        for goal in recording.goals.values():
            goal.changed = True
        archive.save(recording, archive.moments(recording))
        records = {b"r" + BE.pack(result.id): result.pack() for result in known}
        db.put_all(records, tuple(b"n" + key for key, _ in db.scan(b"n")))
        db.close()
        state.seal()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ("tree", "outside"):
        (tmp_path / name).mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C"}
    if tool.python_path():
        environment["PYTHONPATH"] = tool.python_path()
    return Tree(tmp_path / "tree", tmp_path / "outside", environment)


@pytest.fixture
def root() -> None:
    """For what only root can set up: another user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to play another user")


def wait_for(path: Path) -> None:
    """Until a running build has made it."""
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.01)
