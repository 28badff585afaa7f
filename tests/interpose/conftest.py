"""The interposer built once, programs compiled on demand, and a fresh run directory for every test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that holds the library and, once asked for, the compiled programs."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is needed")
    folder = tmp_path_factory.mktemp("built")
    harness.build_library(folder)
    return folder


@pytest.fixture(scope="session")
def program(built: Path) -> Callable[..., Path]:
    """Compile one of the programs, each name and set of flags once."""

    def compiled(name: str, *flags: str, to: str | None = None) -> Path:
        target = built / (to or name)
        if not target.exists():
            command = ["gcc", "-O1", "-w", "-pthread", *flags, "-o", str(target), str(PROGRAMS / f"{name}.c")]
            subprocess.run(command, check=True)
        return target

    return compiled


@pytest.fixture
def run(built: Path, tmp_path: Path) -> harness.RunDirectory:
    """Make a run directory whose traces this test reads."""
    return harness.RunDirectory(tmp_path / "run", built / "libhashmake.so")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """Give an empty directory and make it the current one."""
    folder = tmp_path / "work"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


# Stands in for hmstep: shows its arguments instead of running the command, except for $(shell).
LAUNCHER = """#!/bin/sh
case $1 in
F*) kind=$1; shift 2; printf '<%s>' "$kind"; exec "$@" ;;
esac
[ -z "$RECIPES" ] || { echo "$1" | cut -c3-; exit; }
printf '[%.2s|' "$1"
shift
for word; do printf '%s|' "$word"; done
printf ']\\n'
"""


@pytest.fixture
def launched(run: harness.RunDirectory, tmp_path: Path) -> harness.RunDirectory:
    """Put a launcher beside a copy of the library."""
    folder = tmp_path / "lib"
    folder.mkdir()
    shutil.copy(run.library, folder)
    launcher = folder / "hmstep"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    run.library = folder / "libhashmake.so"
    return run
