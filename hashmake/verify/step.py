"""The steps of one evaluation, as a tree."""

from typing import TYPE_CHECKING

from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, Result, ResultId

if TYPE_CHECKING:
    from hashmake.model.tables import PathId, ValueId


class Step:
    """A result in the tree of an evaluation.

    outs     path -> version that it left; of a composite only what it wrote itself
    below    composite: paths that steps below it wrote
    above    the composites that it is directly below of
    """

    __slots__ = ("above", "below", "outs", "result")

    def __init__(self, result: Result) -> None:
        self.result = result
        self.outs: dict[PathId, ValueId] = {pid: post for pid, _pre, post in result.outputs()}
        self.below: set[PathId] = set()
        self.above: set[ResultId] = set()


def steps_of(recording: Recording, root: ResultId) -> dict[ResultId, Step]:
    """Every step below a root, the root among them, those that ran or were judged first coming first."""
    found: dict[ResultId, Step] = {}

    def walk(rid: ResultId, above: ResultId | None) -> None:
        step = found.get(rid)
        if step is None:
            result = recording.result(rid)
            if result is None:
                return
            for kid in result.kids:
                walk(ResultId(kid), rid)
            step = found[rid] = Step(result)
            for kid in result.kids:
                below = found.get(ResultId(kid))
                if below is not None:
                    step.below.update(below.outs)
                    step.below |= below.below
            for pid in step.below:
                step.outs.pop(pid, None)
        if above is not None:
            step.above.add(above)

    walk(root, None)
    return found


def does_something(step: Step) -> bool:
    """Whether it counts as a step: a make process that only starts others does not."""
    return not step.result.flags & COMPOSITE or bool(step.outs)
