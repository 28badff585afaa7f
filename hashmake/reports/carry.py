"""`hashmake store export`: what the last build of a tree used, as sets of names in the store."""

import os
from collections.abc import Callable

from hashmake.disk.disk import Disk
from hashmake.errors import UserError
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.sharing import Sharing
from hashmake.judge.tree import Tree
from hashmake.kbuild.plugin import Kbuild
from hashmake.model.environment import Environment
from hashmake.model.plugin import AnyProject, Plugin
from hashmake.model.recording import Recording
from hashmake.model.result import Result, ResultId
from hashmake.model.roots import Roots
from hashmake.reports.open import load
from hashmake.request import Request
from hashmake.state.directory import StateDirectory
from hashmake.store.local import LocalStore, name_of, name_of_note


class _Names(LocalStore):
    """A store that is told of nothing new: it notes what it would be told, by the names of files in the store."""

    def __init__(self, top: str) -> None:
        super().__init__(top, "", 0, lambda _text: None)
        self.found: list[str] = []

    def note(self, table: bytes, key: bytes, name: bytes, data: Callable[[], bytes]) -> None:
        """See the class's text."""
        data()  # which may put a content
        self.found.append(os.fsdecode(name_of_note(table, key, name)))

    def put(self, content: bytes, executable: bool) -> bytes | None:
        """It is there, or is no use."""
        version = self.version_of(content, executable)
        self.found.append(os.fsdecode(b"objects" + name_of(version)))
        return version


def used(state_path: str, top: str) -> list[list[str]]:
    """Of each step of the last build that is in the store: the names of its files there. Raises UserError."""
    state = StateDirectory(state_path)
    last = state.remembered() if state.exists() else None
    if last is None:
        raise UserError(f"{state_path}: nothing was built here; run `hashmake build` first, or give -C")
    db, recording = load(state_path)
    try:
        os.chdir(last[0])
        request = Request(last[1], state_path, drop_in=False)
        goal = recording.goals.get(request.key)
        if goal is None or not goal.roots:
            raise UserError(f"{state_path}: no complete build of the last goal is recorded; run `hashmake build` first")
        disk = Disk()
        plugin: Plugin = Kbuild(disk) if request.kbuild else AnyProject()
        evaluation = Evaluation(recording, goal, Tree(recording.tables, disk), disk, plugin)
        names = _Names(top)
        roots = Roots(os.fsencode(request.where), os.fsencode(request.out), os.environb.get(b"PATH", b""))

        def environment_of(block: bytes) -> Environment:
            return Environment(recording.env_blocks.number(block), block.split(b"\0"), b"", plugin.meaningless)

        sharing = Sharing(evaluation, names, roots, environment_of)
        return [
            found
            for result in _below(recording, goal.roots[-1][1])
            if (found := _of(result, names, sharing, recording))
        ]
    finally:
        db.close()


def _below(recording: Recording, root: ResultId) -> list[Result]:
    """All results of a build that are kept."""
    found: dict[int, Result] = {}
    todo = [root]
    while todo:
        rid = todo.pop()
        result = recording.result(rid) if rid not in found else None
        if result is not None:
            found[rid] = result
            todo += map(ResultId, result.kids)
    return [result for result in found.values() if (result.modes or result.silent()) and not result.kids]


def _of(result: Result, names: _Names, sharing: Sharing, recording: Recording) -> list[str]:
    names.found = []
    sharing.add(result)
    sharing.tell()
    values = recording.tables.values
    versions = [values[post] for _pid, _pre, post in result.outputs()]
    return (
        names.found + [os.fsdecode(b"objects" + name_of(v)) for v in versions if v[:1] == b"F"] if names.found else []
    )
