"""`hashmake verify`, the conductor: a private place, an ordinary build in it, the chosen steps again, a comparison.

The ordinary build comes first: it brings the scratch place to what hashmake holds for right at this moment. Then the
chosen steps run again though they are current, all of them or a few, and whoever then left something else is looked at.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

from hashmake.build import begin as build
from hashmake.build.evaluate import evaluate
from hashmake.disk import reading
from hashmake.disk.disk import Disk
from hashmake.errors import UserError
from hashmake.judge.reason import Reason, describe
from hashmake.judge.running import Running
from hashmake.model import digest
from hashmake.model.goal import Goal
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, SHELL, ResultId
from hashmake.model.tables import NO_VALUE, PathId, ValueId
from hashmake.progress.plain import Silent
from hashmake.reports.log import command_text
from hashmake.reports.open import load
from hashmake.request import Request
from hashmake.state.directory import StateDirectory
from hashmake.verify import difference, namespace
from hashmake.verify.compare import Comparison, Differing, Findings, Step, does_something, steps_of
from hashmake.verify.namespace import Cover
from hashmake.verify.report import lines

_SHOW_OUTPUTS = 3
_TAIL = 4000


@dataclass
class Wanted:
    """What the command line asks for.

    words    make's, None: those of the last build here
    sample   "5%" or a number of steps; seed: None for a new one
    scratch  where to put what is written; copy: no overlay, a copy of the tree
    """

    state_dir: str
    state_given: bool
    words: list[str] | None
    paths: list[str] = field(default_factory=list)
    sample: str | None = None
    seed: int | None = None
    scratch: str | None = None
    copy: bool = False


class _Rerun(Silent):
    """`[steps started] command` on the last line of a terminal, ten times a second at most."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._count = 0
        self._shown = 0.0

    def step(self, running: Running, /) -> None:
        """Show it."""
        self._count += 1
        now = time.monotonic()
        if self._terminal >= 0 and now - self._shown > 0.1:
            self._shown = now
            text = b" ".join(running.argv[-1].split())[:100] if running.argv else b""
            os.write(self._terminal, b"\r\x1b[Kverify [%d] " % self._count + text)

    def clear(self) -> None:
        """Take the line away."""
        if self._terminal >= 0 and self._count:
            os.write(self._terminal, b"\r\x1b[K")


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
        found = _in_child(_Inside(wanted, request, paths, covered, scratch))
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
            rows.append({"path": _text(tables.paths[pid]), "before": before, "now": now})
    return sorted(rows, key=lambda row: row["path"])


# ---- the child: everything that runs make or a step happens in it -------------------------------------------------


def _in_child(inside: "_Inside") -> dict[str, Any]:
    """Run it in a process of its own; what it found. Raises UserError."""
    answer = os.path.join(inside.scratch, "answer")
    output = os.path.join(inside.scratch, "output")
    terminal = os.dup(2) if sys.stderr.isatty() else -1
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 3
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            null = os.open(os.devnull, os.O_RDONLY)
            for fd, to in ((null, 0), (log, 1), (log, 2)):
                os.dup2(fd, to)
            with open(answer, "w") as file:
                json.dump(inside.run(_Rerun(terminal)), file)
            code = 0
        except UserError as error:
            with open(answer, "w") as file:
                json.dump({"error": str(error)}, file)
            code = 0
        except BaseException:  # noqa: BLE001  # nothing may come back from here
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.kill(child, signal.SIGTERM)  # its supervisor hands it on to make
        os.waitpid(child, 0)
        raise
    finally:
        if terminal >= 0:
            os.close(terminal)
    if code or not os.path.exists(answer):
        raise RuntimeError(f"verify ended with {code}: {_tail(output)}")
    with open(answer) as file:
        found: dict[str, Any] = json.load(file)
    if "error" in found or found["failed"]:
        sys.stderr.write(_tail(output))
    if "error" in found:
        raise UserError(found["error"])
    return found


def _tail(path: str) -> str:
    with open(path, "rb") as file:
        text = file.read()[-_TAIL:].decode("utf-8", "backslashreplace")
    return text if text.endswith("\n") or not text else text + "\n"


class _Inside:
    """What happens under the covers."""

    def __init__(self, wanted: Wanted, request: Request, paths: list[str], covered: list[str], scratch: str) -> None:
        self.scratch = scratch
        self._wanted = wanted
        self._request = request
        self._paths = [os.fsencode(p) for p in paths]
        self._covered = covered
        self._covers: list[Cover] = []
        self._seed: int | None = None

    def run(self, progress: _Rerun) -> dict[str, Any]:
        """Build, run the chosen steps again, compare. Raises UserError."""
        namespace.enter()
        for number, directory in enumerate(self._covered):
            place = os.path.join(self.scratch, str(number))
            os.mkdir(place, 0o700)
            self._covers.append(namespace.cover(directory, place, self._wanted.copy))
        os.chdir(self._request.start)
        first = self._new_request(progress)
        code = build.build(first)
        if code:
            raise UserError(f"{first.where}: a build fails here (make's exit status was {code}); mend that first")
        null, _recording, _steps, _ = self._evaluated(first)
        # What a build asked for depends on what other goals had left then: with what lies there now it is asked again.
        second = self._new_request(progress)
        code = evaluate(second)
        root, recording, before, believed = self._evaluated(second, null)
        chosen = self._choose(recording, before)
        lost = self._lost(recording, recording.goal(first.key))
        again = self._new_request(progress)
        if chosen is None:
            again.arguments.always_make = True
            self._remove_products(recording, recording.goal(first.key))
        else:
            again.again = _keys(before, chosen)
        code = evaluate(again)
        progress.clear()
        known = [s for s in before.values() if does_something(s)]
        found: dict[str, Any] = {
            "mode": "all" if chosen is None else "paths" if self._paths else "sample",
            "argv": first.words,
            "directory": first.where,
            "sample": self._wanted.sample,
            "seed": self._seed,
            "steps": {"known": len(known), "verified": len(known) if chosen is None else len(chosen)},
            "failed": code,
            "not_repeatable": [],
            "wrongly_current": [],
            "not_comparable": [],
            "follows": 0,
            "outputs": None if chosen is None else self._outputs(recording, chosen),
        }
        if code == 0:
            # Numbers only grow: the second recording knows the steps of the first.
            _root, recording, after, before = self._evaluated(again, root)
            self._compare(found, recording, Comparison(recording, before, after, lost).findings())
            self._stale(found, recording, Comparison(recording, believed, before, {}).findings())
        return found

    def _new_request(self, progress: _Rerun) -> Request:
        request = Request(self._request.words, self._request.state.path, drop_in=False)
        request.quiet = True
        request.progress = progress
        return request

    def _evaluated(
        self, request: Request, earlier: ResultId | None = None
    ) -> tuple[ResultId, Recording, dict[ResultId, Step], dict[ResultId, Step]]:
        """The root of the evaluation that has just ended and its steps; those of an earlier root too."""
        db, recording = load(request.state.path)
        try:
            root = recording.goal(request.key).root_for(request.inputs)
            if root is None:
                raise UserError(f"{request.where}: no complete build of this goal; run `hashmake build` first")
            steps = steps_of(recording, root)
            return root, recording, steps, steps_of(recording, earlier) if earlier is not None else {}
        finally:
            db.close()

    # -- which steps --------------------------------------------------------------------------------------------------

    def _choose(self, recording: Recording, before: dict[ResultId, Step]) -> list[Step] | None:
        """The steps to run again; None: all, from nothing."""
        known = [s for s in before.values() if does_something(s)]
        if self._paths:
            chosen: dict[ResultId, Step] = {}
            for path in self._paths:
                pid = recording.tables.path_ids.get(path)
                makers = {s.result.id: s for s in known if pid in s.outs}
                if not makers:
                    raise UserError(f"{_text(path)}: no step of this build makes it; see `hashmake log`")
                chosen |= makers
            return list(chosen.values())
        if self._wanted.sample is None:
            return None
        text = self._wanted.sample
        count = round(len(known) * float(text[:-1]) / 100) if text.endswith("%") else int(text)
        self._seed = self._wanted.seed if self._wanted.seed is not None else random.SystemRandom().randrange(1 << 32)
        known.sort(key=lambda s: (s.result.key, s.result.id))
        return random.Random(self._seed).sample(known, min(max(count, 1), len(known)))  # noqa: S311  # to be repeated

    def _remove_products(self, recording: Recording, goal: Goal) -> None:
        """As in a clean tree, also for programs that the view does not reach. Only under covers."""
        paths = recording.tables.paths
        hidden = [paths[pid] for pid, (pre, post) in goal.complete.items() if post and pre == NO_VALUE]
        for path in sorted(hidden, reverse=True):
            if self._cover_of(path) is None:
                continue
            try:
                os.unlink(path)
            except IsADirectoryError:
                try:
                    os.rmdir(path)
                except OSError:
                    continue  # something else lies in it
            except OSError:
                continue

    def _cover_of(self, path: bytes) -> Cover | None:
        above = [c for c in self._covers if path.startswith(os.fsencode(c.directory) + b"/")]
        return max(above, key=lambda c: len(c.directory), default=None)

    def _outputs(self, recording: Recording, chosen: list[Step]) -> list[str]:
        return sorted({_text(recording.tables.paths[pid]) for step in chosen for pid in step.outs})

    # -- what came out ------------------------------------------------------------------------------------------------

    def _lost(self, recording: Recording, goal: Goal) -> dict[PathId, ValueId]:
        """What lay there before the build and was overwritten by it (.config's auto.conf, of another goal)."""
        began = {pid: version for pid, (version, _moment) in goal.began.items()}
        began |= {pid: pre for pid, (pre, _post) in goal.complete.items()}
        disk, tables = Disk(), recording.tables
        return {pid: pre for pid, pre in began.items() if pre and disk.own(tables.paths[pid]) != tables.values[pre]}

    def _compare(self, found: dict[str, Any], recording: Recording, findings: Findings) -> None:
        found["follows"] = len(findings.follows)
        for name in ("not_repeatable", "wrongly_current", "not_comparable"):
            rows: dict[tuple[str, str], dict[str, Any]] = {}
            for each in getattr(findings, name):
                row = self._row(recording, each)
                rows.setdefault((row["cwd"], row["command"]), row)["times"] += 1
            found[name] = list(rows.values())
        # Of an evaluation from nothing alone: with products about, make may begin with a version that is gone since.
        for step in findings.gone if found["mode"] == "all" else ():
            row = self._row(recording, Differing(None, step, sorted(step.outs)))
            found["wrongly_current"].append(row | {"because": "a clean build does not run it", "times": 1})

    def _stale(self, found: dict[str, Any], recording: Recording, findings: Findings) -> None:
        """Steps that make made again with another result, though nothing was to have changed since the last build."""
        for each in [*findings.wrongly_current, *findings.not_repeatable]:
            if each.before is not None and each.outs:
                row = self._row(recording, each) | {
                    "because": "nothing was said to have changed, and it ran",
                    "times": 1,
                }
                found["wrongly_current"].append(row)

    def _row(self, recording: Recording, each: Differing) -> dict[str, Any]:
        result, tables = each.again.result, recording.tables
        differences = []
        if each.before is not None:
            old = each.before.result
            if result.kind == SHELL and old.stdout != result.stdout:
                differences.append({"path": None, **difference.of_texts(old.stdout, result.stdout)})
            if old.code != result.code:
                codes = {"kind": "type", "before": f"exit status {old.code}", "again": f"exit status {result.code}"}
                differences.append({"path": None, **codes})
            shown = each.outs[:_SHOW_OUTPUTS]
            differences += [self._difference(recording, each.before, each.again, pid) for pid in shown]
        return {
            "cwd": _text(tables.paths[result.cwd]),
            "command": command_text(result.argv),
            "shell_function": result.kind == SHELL,
            "calls_make": bool(result.flags & COMPOSITE),
            "outputs": [_text(tables.paths[pid]) for pid in each.outs],
            "differences": differences,
            "because": "" if each.why is None else _because(each.why),
            "times": 0,
        }

    def _difference(self, recording: Recording, before: Step, again: Step, pid: PathId) -> dict[str, Any]:
        """How the two versions of one output differ: by content where both still lie on the disk."""
        path = recording.tables.paths[pid]
        versions = [recording.tables.values[step.outs.get(pid, NO_VALUE)] for step in (before, again)]
        cover = self._cover_of(path)
        if cover is not None:
            real = b"/proc/self/fd/%d/" % cover.real + path[len(os.fsencode(cover.directory)) + 1 :]
            if [reading.of_path(p)[0] for p in (real, path)] == versions:
                return {"path": _text(path), **difference.of_paths(real, path)}
        return {"path": _text(path), **difference.of_versions(versions[0], versions[1])}


def _keys(before: dict[ResultId, Step], chosen: list[Step]) -> frozenset[bytes]:
    """Of the chosen steps, and of all that contain them: a sub-make that is skipped never asks for its steps."""
    todo = list(chosen)
    seen: dict[ResultId, Step] = {}
    while todo:
        step = todo.pop()
        if step.result.id not in seen:
            seen[step.result.id] = step
            todo.extend(before[rid] for rid in step.above)
    return frozenset(step.result.key for step in seen.values())


def _because(why: Reason) -> str:
    if why.kind == "Unseen":
        return f"it reads {_text(why.what)}, of which its record knows nothing"
    if why.kind == "Lost":
        return f"it began with {_text(why.what)} as it was before the build, and that is gone"
    if why.kind == "NeverRan":
        return "a clean build runs it, and no such step was recorded"
    if why.kind == "VariableChanged":
        return "its environment is another one"
    return f"its record was believed, though {describe(why)}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
