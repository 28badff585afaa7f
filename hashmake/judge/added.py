"""Steps that added to a file which they make from nothing in a clean build (docs/design.md, "Changed by hand")."""

from collections.abc import Iterable, Mapping

from hashmake.judge.evaluation import Evaluation
from hashmake.model.kinds import ABSENT
from hashmake.model.result import COMPOSITE, Result, ResultId
from hashmake.model.tables import NO_VALUE, PathId, ValueId


def added_to(evaluation: Evaluation, ran: Iterable[ResultId], found: Mapping[PathId, ValueId]) -> set[PathId]:
    """Paths to which a step of this build added, which it makes from nothing elsewhere: the step begins in their lack.

    ran    results of steps that ran
    found  what lay on paths that were left in sight, as a step may make them only where there is none
    """
    if not found:
        return set()
    recording = evaluation.recording
    wrong: set[PathId] = set()
    for number in ran:
        result = recording.result(number)
        if result is None or result.flags & COMPOSITE:
            continue  # what several steps did together: one of them may have left what was there to the next
        for pid, pre, post in result.outputs():
            added = found.get(pid) == pre != post and post != NO_VALUE
            if added and _looked_at(evaluation, result, pid) and _made(evaluation, result, pid):
                wrong.add(pid)
    return wrong


def _looked_at(evaluation: Evaluation, result: Result, pid: PathId) -> bool:
    """Whether what lay there can be in what a step left there; one that writes all of it anew never looks."""
    tables = evaluation.tree.tables
    return any(tables.fact_path[f] == pid and tables.fact_kind[f] != ABSENT for f in result.facts)


def _made(evaluation: Evaluation, result: Result, pid: PathId) -> bool:
    """Whether the same command has once made this path where there was none."""
    return any(
        path == pid and pre == NO_VALUE and post
        for other in evaluation.recording.candidates(result.key)
        for path, pre, post in other.outputs()
    )
