"""Findings as rows of the JSON object of docs/verify.md."""

import os
from typing import Any

from hashmake.disk import reading
from hashmake.judge.reason import Reason, describe
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, SHELL
from hashmake.model.tables import NO_VALUE, PathId
from hashmake.reports.log import command_text
from hashmake.verify import difference
from hashmake.verify.compare import Differing, Findings
from hashmake.verify.namespace import Cover
from hashmake.verify.step import Step

_SHOW_OUTPUTS = 3


class Rows:
    """Of one verification. `covers`: what lies below them is the tree as it was."""

    def __init__(self, covers: list[Cover]) -> None:
        self._covers = covers

    def fill(self, found: dict[str, Any], recording: Recording, findings: Findings) -> None:
        """Into the object `found`: what running again showed."""
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

    def stale(self, found: dict[str, Any], recording: Recording, findings: Findings) -> None:
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
            "cwd": text_of(tables.paths[result.cwd]),
            "command": command_text(result.argv),
            "shell_function": result.kind == SHELL,
            "calls_make": bool(result.flags & COMPOSITE),
            "outputs": [text_of(tables.paths[pid]) for pid in each.outs],
            "differences": differences,
            "because": "" if each.why is None else _because(each.why),
            "times": 0,
        }

    def _difference(self, recording: Recording, before: Step, again: Step, pid: PathId) -> dict[str, Any]:
        """How the two versions of one output differ: by content where both still lie on the disk."""
        path = recording.tables.paths[pid]
        versions = [recording.tables.values[step.outs.get(pid, NO_VALUE)] for step in (before, again)]
        cover = cover_of(self._covers, path)
        if cover is not None:
            real = b"/proc/self/fd/%d/" % cover.real + path[len(os.fsencode(cover.directory)) + 1 :]
            if [reading.of_path(p)[0] for p in (real, path)] == versions:
                return {"path": text_of(path), **difference.of_paths(real, path)}
        return {"path": text_of(path), **difference.of_versions(versions[0], versions[1])}


def cover_of(covers: list[Cover], path: bytes) -> Cover | None:
    """The innermost cover over a path."""
    above = [c for c in covers if path.startswith(os.fsencode(c.directory) + b"/")]
    return max(above, key=lambda c: len(c.directory), default=None)


def _because(why: Reason) -> str:
    if why.kind == "Unseen":
        return f"it reads {text_of(why.what)}, of which its record knows nothing"
    if why.kind == "Lost":
        return f"it began with {text_of(why.what)} as it was before the build, and that is gone"
    if why.kind == "NeverRan":
        return "a clean build runs it, and no such step was recorded"
    if why.kind == "VariableChanged":
        return "its environment is another one"
    return f"its record was believed, though {describe(why)}"


def text_of(data: bytes) -> str:
    """For people, and for JSON."""
    return data.decode("utf-8", "backslashreplace")
