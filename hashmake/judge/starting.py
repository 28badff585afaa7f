"""Steps that begin to run get their numbers, accounts and traces."""

from collections.abc import Callable

from hashmake.judge.account import Account
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import Running
from hashmake.judge.world import OpenTrace, Trace
from hashmake.model.environment import Environment
from hashmake.model.result import RECIPE, Result


class Starter:
    """See the module's text. `on_step` is told of each."""

    def __init__(self, evaluation: Evaluation, open_trace: OpenTrace, on_step: Callable[[Running], None]) -> None:
        self._evaluation = evaluation
        self._open_trace = open_trace
        self._on_step = on_step
        self._number = 0

    def trace_of(self, running: Running) -> Trace:
        """The trace that the processes of a step will write."""
        return self._open_trace(running.number)

    def start(
        self,
        kind: bytes,
        key: bytes,
        cwd: bytes,
        argv: list[bytes],
        environment: Environment,
        above: Running | None,
        latest: Result | None = None,
    ) -> Running:
        """A new running step; `latest`: what is known of its last run."""
        self._number += 1
        account = Account(self._evaluation.tree.seq, self._evaluation.disk.now_ns())
        trace = self._open_trace(self._number)
        running = Running(self._number, key, kind, cwd, argv, environment, above, account, trace)
        running.times = self._evaluation.plugin.compares_times(argv)
        account.replaces = kind == RECIPE and self._evaluation.plugin.replaces(argv)
        if latest is not None:
            running.makes = [self._evaluation.tree.tables.paths[pid] for pid, _pre, post in latest.outputs() if post]
        self._evaluation.running[self._number] = running
        self._on_step(running)
        return running
