"""`hashmake why PATH`: which step makes it, did it run in the last build, would it run now."""

import os
import time
from posixpath import dirname

from hashmake.disk.disk import Disk
from hashmake.judge.engine import Engine
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.reason import describe
from hashmake.judge.tree import Tree
from hashmake.kbuild.plugin import Kbuild
from hashmake.model.environment import Environment
from hashmake.model.goal import Goal
from hashmake.model.kinds import KIND_NAMES, NAME
from hashmake.model.recording import Recording
from hashmake.model.result import Result
from hashmake.model.tables import NO_VALUE, PathId
from hashmake.reports.log import command_text
from hashmake.reports.open import decode, load
from hashmake.run.trace import traces_in

_SHOW = 12


def why(state: str, path: str) -> int:
    """Print the answer; exit status 1 when nothing is known of PATH."""
    db, recording = load(state)
    try:
        absolute = os.fsencode(os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path)))
        pid = recording.tables.path_ids.get(absolute)
        if pid is None:
            print(f"{path}: no build recorded in {state} ever touched or looked for it")
            return 1
        logs = [decode(build, data) for build, data in db.logs()]
        lines = _maker(recording, pid, path, absolute.decode("utf-8", "backslashreplace"), logs)
        print("\n".join(lines))
        return 0
    finally:
        db.close()


def _maker(recording: Recording, pid: PathId, path: str, absolute: str, logs: list[dict]) -> list[str]:  # type: ignore[type-arg]  # JSON
    known = recording.products.get(pid)
    if known is None:
        return [f"{path}: a source; {_readers(recording, pid)} recorded steps depend on it"]
    maker = recording.makers.get((pid, known[0]))
    result = recording.result(maker) if maker is not None else None
    if result is None:
        return [f"{path}: made by a make process itself, or by a step that is no longer recorded"]
    lines = [f"{path}: made by", f"  {command_text(result.argv).strip()}"]
    lines += _history(absolute, logs)
    lines += _now(recording, result, pid)
    return lines


def _readers(recording: Recording, pid: PathId) -> int:
    facts = set(recording.tables.facts_on.get(pid, ()))
    ids = set(recording.makers.values())
    return sum(1 for rid in ids if (r := recording.result(rid)) is not None and not facts.isdisjoint(r.facts))


def _history(absolute: str, logs: list[dict]) -> list[str]:  # type: ignore[type-arg]  # JSON
    for log in reversed(logs):
        for ran in log["ran"]:
            if absolute in ran["outputs"]:
                which = "the last build" if log is logs[-1] else f"build {log['build']}"
                return [f"ran in {which} because {ran['reason']['text']}"]
    return ["did not run in the builds whose logs are kept"]


def _now(recording: Recording, result: Result, pid: PathId) -> list[str]:
    """What a build started now would decide for this step, as far as the disk and the environment tell."""
    disk = Disk()
    tree = Tree(recording.tables, disk, recording.seq)
    # Its inputs that are products count as the disk has them; what it makes itself was absent when it started.
    for out, pre, _post in result.outputs():
        if pre == NO_VALUE:
            tree.hide(out)
    goal = next((g for g in recording.goals.values() if pid in g.products), Goal(b""))
    plugin = Kbuild(disk)
    tables = plugin.tables(_table_tops(recording, result))
    evaluation = Evaluation(recording, goal, tree, disk, plugin)
    engine = Engine(evaluation, traces_in(b""), b"", tables, b"", lambda _running: None)
    environment = _environment_now(recording, goal, result, engine)
    reasons = list(map(describe, engine.judging.differences(result, environment, recording.tables.paths[result.cwd])))
    when = time.strftime("%H:%M:%S")
    if not reasons:
        return [f"now ({when}): current, it would be skipped", *_inputs(recording, result)]
    also = [f"  and because {reason}" for reason in reasons[1:_SHOW]]
    more = [f"  and for {len(reasons) - _SHOW} more reasons"] * (len(reasons) > _SHOW)
    return [f"now ({when}): stale, because {reasons[0]}", *also, *more, *_inputs(recording, result)]


def _environment_now(recording: Recording, goal: Goal, result: Result, engine: Engine) -> Environment:
    """The environment that make would give the step: as then, but for what has changed in ours since."""
    root = recording.result(goal.roots[-1][1]) if goal.roots else None
    blocks = recording.env_blocks.all
    then = _variables(blocks[root.full_env]) if root is not None else dict(os.environb)
    variables = _variables(blocks[result.full_env])
    for name in then.keys() | os.environb.keys():
        old, new = then.get(name), os.environb.get(name)
        if old != new and variables.get(name) == old:
            variables.pop(name, None)
            if new is not None:
                variables[name] = new
    return engine.environments.of(b"\0".join(name + b"=" + value for name, value in variables.items()))


def _variables(block: bytes) -> dict[bytes, bytes]:
    return {s.partition(b"=")[0]: s.partition(b"=")[2] for s in block.split(b"\0") if s}


def _table_tops(recording: Recording, result: Result) -> tuple[bytes, ...]:
    """The directories in whose include/*/ the tables lie on entries of which a step depends."""
    tables = recording.tables
    paths = {tables.paths[tables.fact_path[fid]] for fid in result.facts if tables.fact_kind[fid] == NAME}
    return tuple(sorted({dirname(dirname(dirname(path))) for path in paths}))


def _inputs(recording: Recording, result: Result) -> list[str]:
    tables = recording.tables
    cwd = tables.paths[result.cwd] + b"/"
    read = sorted(tables.paths[tables.fact_path[f]] for f in result.facts if KIND_NAMES[tables.fact_kind[f]] == "read")
    near = [p for p in read if p.startswith(cwd)]
    names = [p[len(cwd) :].decode("utf-8", "backslashreplace") for p in near[:_SHOW]]
    more = f" and {len(near) - _SHOW} more" if len(near) > _SHOW else ""
    where = os.fsdecode(cwd)
    return [f"it depends on {len(result.facts)} facts; of the files in {where} it read: {' '.join(names)}{more}"]
