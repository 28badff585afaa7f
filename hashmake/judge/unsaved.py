"""Steps that have ended since results were last saved."""

from array import array

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.world import Trace
from hashmake.model.kinds import CONTENT, NEVER
from hashmake.model.result import Result
from hashmake.model.tables import NO_VALUE, PathId


class Unsaved:
    """See the module's text."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._results: list[Result] = []
        self._traces: list[Trace] = []

    def trace(self, trace: Trace) -> None:
        """A step has ended: its trace is needed until its result is saved."""
        self._traces.append(trace)

    def result(self, result: Result) -> None:
        """... and this is its result."""
        self._results.append(result)

    def drop_traces(self) -> None:
        """After results were saved: the traces of steps that have ended tell nothing more, and take room in memory."""
        for old in self._traces:
            old.remove()
        self._traces = []

    def settle(self) -> None:
        """Before results are saved: a source that changed after it was hashed makes its readers stale."""
        tables, tree = self._evaluation.tree.tables, self._evaluation.tree
        facts: set[int] = set()
        for result in self._results:
            facts.update(result.facts)
        read = {tables.fact_path[f] for f in facts if tables.fact_kind[f] in CONTENT}
        changed = {p for p in read if p not in tree.state and not self._evaluation.disk.still_same(tables.paths[p])}
        if changed:
            for result in self._results:
                hit = changed.intersection(tables.fact_path[f] for f in result.facts if tables.fact_kind[f] in CONTENT)
                never = (tables.fact(NEVER, PathId(pid), NO_VALUE) for pid in hit)
                result.facts = array("I", sorted({*result.facts, *never}))
            for pid in changed:
                tree.wrote(tables.paths[pid])
        self._results = []
