"""What a step left is kept; a step that would leave the same again is restored instead of run (docs/store.md)."""

from array import array
from typing import TYPE_CHECKING

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import Running, Write
from hashmake.judge.world import Fetched, Store
from hashmake.model.printed import ERR, ONE, OUT
from hashmake.model.result import COMPOSITE, FAILED, KEPT, RECIPE, SHELL, UNSEEN, Result, ResultId
from hashmake.model.shelltext import calls_make
from hashmake.model.tables import NO_VALUE, PathId

if TYPE_CHECKING:
    from collections.abc import Callable

# Reasons that say nothing but that what a step left is not there any more.
_LOST = frozenset({"OutputMissing", "OutputTouched"})


class Restoring:
    """See the module's text.

    store  None: nothing is kept, nothing restored
    one    both streams of this build go to one place
    about_to_write is told, before anything is put into the tree: paths, each with whether nothing is there
    prints which of its streams, OUT and ERR, can be printed to as to any file: others fail in ways of their own
    """

    def __init__(self, evaluation: Evaluation, store: Store | None) -> None:
        self.store = store
        self.one = False
        self.about_to_write: Callable[[list[tuple[bytes, bool]]], None] = lambda _paths: None
        self.prints = OUT | ERR
        self._evaluation = evaluation

    # -- keeping --------------------------------------------------------------------------------------------------

    def watch(self, running: Running) -> None:
        """A step begins: decide whether what it prints is kept, though nobody reads it.

        Of a make that is started as such the steps below are kept, each by itself; of a script that calls make it is
        all that it did.
        """
        if running.kind == RECIPE and not running.keeps:
            running.watched = not calls_make(running.argv)
        elif running.kind == SHELL:  # make gets its answer; what it says beside that decides whether others may have it
            running.watched = self.store is not None and not calls_make(running.argv)

    def keep(self, running: Running, result: Result) -> None:
        """A step has ended: what it left and printed is kept, all of it or nothing.

        Of a step without outputs nothing is kept but that it is silent.
        """
        if self._is_restorable(running, result):
            result.modes = self._kept_modes(result)
        if not running.watched or result.modes or result.silent():
            return
        if result.kind == SHELL:
            result.kept &= OUT if result.stderr else OUT | ERR
        else:
            result.stdout, result.kept = b"", 0
        result.stderr = b""

    def _is_restorable(self, running: Running, result: Result) -> bool:
        if self.store is None or result.kind != RECIPE or result.flags & (UNSEEN | FAILED):
            return False
        if result.flags & COMPOSITE and not running.watched:
            return False
        # The owners that fakeroot shows are known to its daemon only, by inode.
        return (
            bool(result.outs) and result.kept in (OUT | ERR, ONE) and b"FAKEROOTKEY=" not in running.environment.block
        )

    def _kept_modes(self, result: Result) -> "array[int]":
        """See Result.modes. What did not change a content (chmod) can only be done again by running it."""
        tables = self._evaluation.tree.tables
        modes = array("H")
        for pid, pre, post in result.outputs():
            path = tables.paths[pid]
            may = self.store is not None and pre != post and self._evaluation.lies_inside(path)
            mode = self.store.keep(path, tables.values[post]) if may and self.store is not None else None
            if mode is None:
                return array("H")
            modes.append(KEPT | mode)
        return modes

    # -- restoring ------------------------------------------------------------------------------------------------

    def fetch(self, candidate: Result, why: str, captured: int) -> Fetched | None:
        """Get ready what a step has left, that would leave the same now; None: it has to run.

        why       the kind of the reason for which it is not current
        captured  what somebody reads of what it prints (model/printed.py)
        """
        if self.store is None or why not in _LOST or not candidate.modes or not self._can_print(candidate, captured):
            return None
        tree = self._evaluation.tree
        files = []
        for (pid, _pre, post), mode in zip(candidate.outputs(), candidate.modes, strict=True):
            if not self._evaluation.lies_inside(tree.tables.paths[pid]):
                return None
            if tree.on_disk(pid) != post:
                files.append((tree.tables.paths[pid], tree.tables.values[post], mode & ~KEPT))
        return self.store.fetch(files)

    def _can_print(self, candidate: Result, captured: int) -> bool:
        """Whether what it printed can go where it would go now."""
        if captured:
            return candidate.kept & captured == captured
        wanted = (OUT if candidate.stdout else 0) | (ERR if candidate.stderr else 0)
        return self.prints & wanted == wanted and (candidate.kept == OUT | ERR or self.one or not candidate.stdout)

    def place(self, candidate: Result, fetched: Fetched) -> list[Write] | None:
        """Put it there; what was found and is left, in the order of the step's writes. None: not all could be put."""
        tree, recording = self._evaluation.tree, self._evaluation.recording
        outputs = candidate.outputs()
        before = [tree.state.get(pid) for pid, _pre, _post in outputs]
        found = [tree.on_disk(out[0]) if state is None else state for out, state in zip(outputs, before, strict=True)]
        there = {pid for pid, _pre, post in outputs if tree.on_disk(pid) == post}
        paths = tree.tables.paths
        try:
            self.about_to_write([(paths[out[0]], not tree.on_disk(out[0])) for out in outputs if out[0] not in there])
            whole = fetched.place()
        except OSError:  # no room to note it
            whole = False
        writes: list[Write] = []
        for (pid, _pre, post), was in zip(outputs, found, strict=True):
            if pid not in there:
                tree.wrote(tree.tables.paths[pid])
                if whole:
                    recording.made_anew(pid, post)
            if whole:
                tree.put(pid, was, post, wrote=pid not in there)
                recording.product(self._evaluation.goal, pid, was, post, tree.seq)
                writes.append((pid, was, post))
        if whole:
            recording.prefer(candidate)
        return writes if whole else None

    def bring_back(self, pid: PathId) -> bool:
        """Put the version there that is due of a path of which a later one lies there; whether that could be done."""
        tree, recording = self._evaluation.tree, self._evaluation.recording
        version = tree.state.get(pid, NO_VALUE)
        maker = recording.result(recording.makers.get((pid, version), ResultId(0)))
        path = tree.tables.paths[pid]
        if self.store is None or maker is None or not maker.modes or not self._evaluation.lies_inside(path):
            return False
        modes = (m for (p, _, v), m in zip(maker.outputs(), maker.modes, strict=True) if (p, v) == (pid, version))
        mode = next(modes, 0)
        fetched = self.store.fetch([(path, tree.tables.values[version], mode & ~KEPT)]) if mode else None
        if fetched is None or not fetched.place():
            return False
        tree.brought_back(pid)
        recording.made_anew(pid, version)
        return True
