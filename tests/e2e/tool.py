"""The tool under test as a command line, and the directory of logging tools that is put first on PATH."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHIM_SOURCE = Path(__file__).with_name("shim.c")
# Read once at import: tests/conftest.py clears these names for every test.
WANTED_TOOL = shlex.split(os.environ.get("HASHMAKE_TEST_TOOL", ""))
KEEP_TREES = "HASHMAKE_TEST_KEEP" in os.environ
LOGGED_TOOLS = ("ar", "cat", "cc", "cp", "date", "grep", "hostname", "ln", "ls", "sed", "sort", "strip", "tr")


def build_command() -> list[str]:
    """HASHMAKE_TEST_TOOL ("make" shows which cases need more than make), else this interpreter's hashmake."""
    if not WANTED_TOOL:
        return [sys.executable, "-m", "hashmake", "build"]
    if WANTED_TOOL == ["make"]:
        return WANTED_TOOL
    return [shutil.which(WANTED_TOOL[0]) or WANTED_TOOL[0], *WANTED_TOOL[1:]]


def is_stock_make() -> bool:
    """Whether the tool under test is make itself, which has no verbs of ours."""
    return os.path.basename(build_command()[0]) == "make"


def verb_command(*words: str) -> list[str]:
    """Another verb of the tool under test: `hashmake log` where `hashmake build` is tested."""
    return [*build_command()[:-1], *words]


def python_path() -> str:
    """The repository, unless an installed hashmake is found without it."""
    probe = [sys.executable, "-I", "-c", "import hashmake"]
    installed = subprocess.run(probe, cwd="/", capture_output=True, check=False).returncode == 0
    return "" if installed else str(REPOSITORY)


def compile_shim(directory: Path) -> Path:
    """The logging tool, once a session; every project links it under the names of the tools it logs."""
    shim = directory / "shim"
    subprocess.run(["cc", "-O1", "-o", shim, SHIM_SOURCE], check=True)
    return shim


def install_shims(shim: Path, directory: Path) -> None:
    """Put every logged tool into `directory`."""
    directory.mkdir()
    local = shutil.copy(shim, directory / LOGGED_TOOLS[0])
    for name in LOGGED_TOOLS[1:]:
        os.link(local, directory / name)
