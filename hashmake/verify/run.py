"""`hashmake verify`, the conductor: a private place, an ordinary build in it, the chosen steps again, a comparison.

The ordinary build comes first: it brings the scratch place to what hashmake holds for right at this moment. Then the
chosen steps run again though they are current, all of them or a few, and whoever then left something else is looked at.
"""

import json
import os
import signal
import sys
import tempfile
import time

from hashmake.build import begin as build
from hashmake.disk.disk import Disk
from hashmake.errors import UserError
from hashmake.model import digest
from hashmake.model.goal import Goal
from hashmake.model.recording import Recording
from hashmake.model.tables import NO_VALUE
from hashmake.reports.open import load
from hashmake.request import Request
from hashmake.state.directory import StateDirectory
from hashmake.verify import namespace
from hashmake.verify.child import in_child
from hashmake.verify.inside import Inside
from hashmake.verify.report import lines
from hashmake.verify.rows import text_of
from hashmake.verify.wanted import Wanted

_SHOW_OUTPUTS = 3
_TAIL = 4000


def verify(wanted: Wanted, as_json: bool) -> int:
    """Do it and print what was found; 0: all is well, 1: a difference. Raises UserError where it can't be done."""
    if build.inside():
        raise UserError("verify: can't run inside a build; run it after the build")
    began = time.monotonic()
    paths = [os.path.join(os.path.realpath(os.path.dirname(p) or "."), os.path.basename(p)) for p in wanted.paths]
    start, words = _request_words(wanted)
    os.chdir(start)
    if "PWD" in os.environ:
        os.environ["PWD"] = start  # as the shell had it when the build was started from there
    request = Request(words, wanted.state_dir if wanted.state_given or wanted.words is None else None, drop_in=False)
    _require(request.state)
    request.state.check()
    request.state.hold()
    db, recording = load(request.state.path)
    db.close()
    goal = recording.goals.get(request.key)
    if goal is None or not goal.roots:
        raise UserError(f"{request.state.path}: no complete build of this goal is recorded; run `hashmake build` first")
    covered = namespace.directories(_written_directories(request, recording, goal))
    altered = _altered(recording, goal)
    base = namespace.scratch_base(covered, wanted.scratch)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))  # what is below is cleaned up
    scratch = tempfile.mkdtemp(prefix="hashmake-verify-", dir=base)
    try:
        found = in_child(scratch, Inside(wanted, request, paths, covered, scratch).run)
    finally:
        namespace.remove(scratch)
        request.state.release()
    outputs = found["outputs"]
    found["altered"] = [row for row in altered if outputs is None or row["path"] in outputs]
    found["wall_s"] = round(time.monotonic() - began, 3)
    bad = any(found[name] for name in ("not_repeatable", "wrongly_current", "altered", "failed"))
    found["exit_code"] = int(bad)
    print(json.dumps(found, indent=1) if as_json else "\n".join(lines(found)))
    return int(bad)


def _require(state: StateDirectory) -> None:
    if not state.exists():
        raise UserError(f"{state.path}: nothing recorded here; run `hashmake build` first, or give -C or --state-dir")


def _request_words(wanted: Wanted) -> tuple[str, list[str]]:
    if wanted.words is not None:
        return os.getcwd(), wanted.words
    state = StateDirectory(wanted.state_dir)
    _require(state)
    state.check()
    remembered = state.remembered()
    if remembered is None or not os.path.isdir(remembered[0]):
        raise UserError(
            f"{state.path}: it was not made here, so what it says was built last is not started;"
            " give make's arguments: hashmake verify -- [MAKE ARGUMENTS]"
        )
    return remembered


def _written_directories(request: Request, recording: Recording, goal: Goal) -> list[str]:
    """The directories that a build writes to: its own, its state, and wherever it left products."""
    paths = recording.tables.paths
    products = {os.path.dirname(paths[pid]) for pid, (_pre, post) in goal.complete.items() if post}
    return [request.start, request.where, request.out, request.state.path, *map(os.fsdecode, products)]


def _altered(recording: Recording, goal: Goal) -> list[dict[str, str]]:
    """Products that are not what the last build of any goal left."""
    disk, tables = Disk(), recording.tables
    rows = []
    for pid, (_pre, post) in goal.complete.items():
        known = recording.products.get(pid, (NO_VALUE, 0))[0]
        here = disk.own(tables.paths[pid])
        if post and known and here != tables.values[known]:
            before, now = digest.describe(tables.values[known]), digest.describe(here)
            rows.append({"path": text_of(tables.paths[pid]), "before": before, "now": now})
    return sorted(rows, key=lambda row: row["path"])
