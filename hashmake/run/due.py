"""Versions that are due: a process opens a file of which a later version lies there, and waits for the right one."""

from collections.abc import Callable

from hashmake.judge.engine import Engine
from hashmake.model.tables import PathId
from hashmake.run.loop import Connection
from hashmake.run.reruns import Reruns


class Due:
    """See the module's text."""

    def __init__(self, engine: Engine, reruns: Reruns) -> None:
        self._engine = engine
        self._tree = engine.evaluation.tree
        self._reruns = reruns
        self._waiting: dict[PathId, list[tuple[Connection, int]]] = {}  # and the number of the step

    def want(self, connection: Connection, step: int, path: bytes) -> None:
        """A process of this step asks; it is told when the version is there, or can't be had."""
        pid = self._tree.tables.path_ids.get(path)
        if pid is None or pid not in self._tree.ahead:
            waiting = self._waiting.get(pid) if pid is not None else None
            if waiting is not None:
                waiting.append((connection, step))
            else:
                connection.acknowledge()
            return
        self._waiting.setdefault(pid, []).append((connection, step))
        self._bring_back(pid, lambda: self._and_what_lay_in_it(pid, set()))

    def bring_back_all(self, serve: Callable[[], None], ends: Callable[[], bool]) -> None:
        """As the supervisor's. `ends`: whether the build was told to end."""
        for pid in sorted(self._tree.ahead):
            if ends():
                self._engine.evaluation.restart = True  # nothing is complete: another build goes on
                return
            if pid not in self._tree.ahead:
                continue
            done: list[bool] = []
            self._bring_back(pid, lambda done=done: done.append(True))  # type: ignore[misc]  # default binds the list
            while not done:
                serve()

    def _bring_back(self, pid: PathId, then: Callable[[], None]) -> None:
        """Run the step that makes the version of pid that is due; `then` when that has ended, well or not."""
        running = self._engine.ahead.bring_back(pid)
        if running is None:
            then()
        else:
            self._reruns.start(running, then)

    def _and_what_lay_in_it(self, pid: PathId, tried: set[PathId]) -> None:
        inside = next((p for p in self._engine.ahead.came_with(pid) if p not in tried), None)
        if inside is None:
            self._released(pid)
        else:
            tried.add(inside)
            self._bring_back(inside, lambda: self._and_what_lay_in_it(pid, tried))

    def _released(self, pid: PathId) -> None:
        for connection, step in self._waiting.pop(pid, []):
            self._engine.ahead.given(step, pid)
            connection.acknowledge()
