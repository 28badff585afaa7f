"""What happens under the covers: an ordinary build, then the chosen steps again, and a comparison."""

import os
import random
from typing import TYPE_CHECKING, Any

from hashmake.build import begin as build
from hashmake.build.evaluate import evaluate
from hashmake.disk.disk import Disk
from hashmake.errors import UserError
from hashmake.model.goal import Goal
from hashmake.model.recording import Recording
from hashmake.model.result import ResultId
from hashmake.model.tables import NO_VALUE, PathId, ValueId
from hashmake.null.check import Check
from hashmake.reports.open import load
from hashmake.request import Request
from hashmake.verify import namespace
from hashmake.verify.child import Shown
from hashmake.verify.compare import Comparison
from hashmake.verify.rows import Rows, cover_of, text_of
from hashmake.verify.step import Step, does_something, steps_of
from hashmake.verify.wanted import Wanted

if TYPE_CHECKING:
    from hashmake.verify.namespace import Cover


class Inside:
    """What happens under the covers."""

    def __init__(self, wanted: Wanted, request: Request, paths: list[str], covered: list[str], scratch: str) -> None:
        self.scratch = scratch
        self._wanted = wanted
        self._request = request
        self._paths = [os.fsencode(p) for p in paths]
        self._covered = covered
        self._covers: list[Cover] = []
        self._seed: int | None = None

    def run(self, progress: Shown) -> dict[str, Any]:
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
        code = evaluate(second, Check())
        root, recording, before, believed = self._evaluated(second, null)
        chosen = self._choose(recording, before)
        lost = self._lost(recording, recording.goal(first.key))
        again = self._new_request(progress)
        if chosen is None:
            again.arguments.always_make = True
            self._remove_products(recording, recording.goal(first.key))
        else:
            again.again = _keys(before, chosen)
        code = evaluate(again, Check())
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
            rows = Rows(self._covers)
            # Numbers only grow: the second recording knows the steps of the first.
            _root, recording, after, before = self._evaluated(again, root)
            rows.fill(found, recording, Comparison(recording, before, after, lost).findings())
            rows.stale(found, recording, Comparison(recording, believed, before, {}).findings())
        return found

    def _new_request(self, progress: Shown) -> Request:
        request = Request(self._request.words, self._request.state.path, drop_in=False)
        request.no_replay = True
        request.renumber = False  # what one build recorded is compared with what the next one does
        request.no_store = True
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
                    raise UserError(f"{text_of(path)}: no step of this build makes it; see `hashmake log`")
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
            if cover_of(self._covers, path) is None:
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

    def _outputs(self, recording: Recording, chosen: list[Step]) -> list[str]:
        return sorted({text_of(recording.tables.paths[pid]) for step in chosen for pid in step.outs})

    def _lost(self, recording: Recording, goal: Goal) -> dict[PathId, ValueId]:
        """What lay there before the build and was overwritten by it (.config's auto.conf, of another goal)."""
        began = {pid: version for pid, (version, _moment) in goal.began.items()}
        began |= {pid: pre for pid, (pre, _post) in goal.complete.items()}
        disk, tables = Disk(), recording.tables
        return {pid: pre for pid, pre in began.items() if pre and disk.own(tables.paths[pid]) != tables.values[pre]}


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
