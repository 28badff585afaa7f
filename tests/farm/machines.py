"""Machines that share results: each with a tree, a store, a home and a user's name of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import buildstream

from e2e import tool
from e2e.snapshot import contents

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CACHE = tool.REPOSITORY / "cache"
BUILDBOX = os.path.join(os.path.dirname(buildstream.__file__), "subprojects", "buildbox")
SOURCES = ("*.c", "*.h", "*.in", "Makefile")
PATIENCE = 1500  # a kernel's first build
CLOSING = re.compile(r"hashmake: (\d+) steps ran, (?:(\d+) were restored, )?(\d+) were current")


class Machine:
    """One machine: `tree` is its checkout; what it is asked to build it builds with nothing but its own state.

    variables  more of its environment
    """

    def __init__(self, top: Path, name: str, endpoint: str, mode: str = "read-write", **settings: str) -> None:
        self.top = top / name
        self.tree = self.top / ("checkout-of-" + name) / "tree"
        self.tree.mkdir(parents=True)
        self.ran = self.restored = self.current = -1
        self.text = ""
        self.variables: dict[str, str] = {}
        self.settings = {"endpoint": endpoint, "mode": mode, **settings}

    def write(self, name: str, text: str) -> None:
        """Write a file into the tree."""
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def take(self, files: Mapping[str, str]) -> None:
        """Write several."""
        for name, text in files.items():
            self.write(name, text)

    def sources(self) -> list[Path]:
        """All that was written by hand."""
        return [path for name in SOURCES for path in self.tree.rglob(name) if ".hashmake" not in path.parts]

    def forget(self) -> None:
        """Nothing of earlier builds is left but the tree's sources."""
        shutil.rmtree(self.top / "store", ignore_errors=True)
        shutil.rmtree(self.tree / ".hashmake", ignore_errors=True)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a build."""
        home = self.top / "home"
        config = home / ".config/hashmake"
        config.mkdir(parents=True, exist_ok=True)
        lines = [f'{key} = "{value}"\n' for key, value in self.settings.items()]
        (config / "hashmake.toml").write_text("[remote]\n" + "".join(lines))
        command = [sys.executable, "-m", "hashmake", "build", *words]
        return subprocess.Popen(
            command,
            cwd=self.tree,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.top / "home"),
            "USER": self.top.name,
            "LC_ALL": "C.UTF-8",
            "HASHMAKE_STORE": str(self.top / "store"),
            "PYTHONPATH": tool.python_path(),
            **self.variables,
        }

    def end(self, process: subprocess.Popen[str], status: int = 0) -> Machine:
        """Wait for it: it has to end with this status."""
        self.text, _none = process.communicate(timeout=PATIENCE)
        assert process.returncode == status, self.text
        found = CLOSING.search(self.text)
        self.ran, self.restored, self.current = (int(n or 0) for n in found.groups()) if found else (-1, -1, -1)
        return self

    def build(self, *words: str, status: int = 0) -> Machine:
        """Build."""
        return self.end(self.start(*words), status)

    def stock(self, *goals: str) -> None:
        """Build with make."""
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(["make", "-s", *goals], cwd=self.tree, env=environment, check=True, capture_output=True)

    def verb(self, *words: str) -> str:
        """What another verb says."""
        command = [sys.executable, "-m", "hashmake", *words]
        return subprocess.check_output(command, cwd=self.tree, env=self._environment(), text=True)

    def log(self) -> dict[str, Any]:
        """The log of the last build."""
        found: dict[str, Any] = json.loads(self.verb("log", "--json"))
        return found

    def products(self) -> Mapping[str, object]:
        """What the tree holds."""
        return contents(self.tree)


class Casd:
    """A buildbox-casd on a socket."""

    def __init__(self, top: Path, *, runs: bool = False) -> None:
        """`runs`: it runs steps, too, each in a place that holds nothing but what it is sent."""
        self.options = f"--buildbox-run {BUILDBOX}/buildbox-run --jobs 2 --cache-failures=false" if runs else ""
        self.directory = top / "casd"
        self.socket = top / "casd.sock"
        self.endpoint = f"unix:{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.socket.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHON": sys.executable, "CASD_QUOTA": "1G", "CASD_OPTIONS": self.options}
        environment["PATH"] = f"{BUILDBOX}:{environment['PATH']}"
        command = [str(CACHE / "casd/start"), str(self.directory), self.endpoint]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.socket.exists():
            assert self.process.poll() is None, "buildbox-casd does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """It is gone, at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def empty(self) -> None:
        """It has lost everything."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.start()
