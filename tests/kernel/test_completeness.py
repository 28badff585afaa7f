"""The whole build of a tinyconfig kernel under strace: each path that it saw is in the trace of its step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from interpose import harness, watching

from e2e import tool
from hashmake.run.library import library_path

from . import linux as cache
from .linux import Linux

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.xdist_group("linux")]


def watched(tree: Linux, kept: Path) -> list[str]:
    """Build everything under strace; the traces and strace's output are in `kept`."""
    keeping = [sys.executable, str(Path(__file__).with_name("keeping.py")), str(kept), "build"]
    words = [*watching.STRACE, "-o", str(kept / "strace"), *keeping, f"-j{os.cpu_count()}", f"O={tree.out}"]
    environment = tree._environment(cache.PLAIN_PATH)
    with (kept / "log").open("wb") as log:
        done = subprocess.run(words, cwd=tree.source, env=environment, stdout=log, stderr=log, check=False)
    assert done.returncode == 0, (kept / "log").read_text(errors="replace")[-4000:]
    assert b"steps ran" in (kept / "log").read_bytes(), (kept / "log").read_text(errors="replace")[:1000]
    return (kept / "run").read_text().splitlines()


def steps(lines: Iterator[str], watcher: watching.Watch) -> Iterator[watching.Call]:
    """Give the calls of the steps: not the supervisor's, and not the launcher's own."""
    for call in watcher.calls(line.rstrip("\n") for line in lines):
        if call.step and not call.program.endswith("/hmstep"):
            yield call


def test_every_path_of_a_whole_build_is_in_its_steps_trace(everything: None, sources: None, tmp_path: Path) -> None:
    """No step is lost or not followed, and none lacks a path."""
    if tool.is_stock_make():
        pytest.skip("make has no traces")
    tree = Linux(cache.CACHE / "linux", cache.CACHE / "watched")
    shutil.rmtree(tree.out, ignore_errors=True)
    tree.out.mkdir()
    tree.restore()
    tree.build("tinyconfig")
    (run,) = watched(tree, tmp_path)
    traces = {int(file.name): harness.decode_trace(file.read_bytes()) for file in (tmp_path / "t").iterdir()}
    told = watching.Traces(traces)
    assert not told.unseen
    assert not told.lost
    assert not [step for step, trace in traces.items() if trace.expected != trace.hello]
    library = library_path()
    watcher = watching.Watch(library, tree.source)
    with (tmp_path / "strace").open(errors="surrogateescape") as lines:
        watcher.families(lines)
    own = {"RUN": run, "LIBRARY": library, "LAUNCHER": os.path.join(os.path.dirname(library), "hmstep")}
    with (tmp_path / "strace").open(errors="surrogateescape") as lines:
        missing = watching.unrecorded(steps(lines, watcher), told, own)
    (tmp_path / "strace").unlink()
    assert len(traces) > 2000
    assert not sorted(missing)[:20]
    shutil.rmtree(tree.out)
