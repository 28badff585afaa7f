"""A goal of make in one directory, and what builds of it made."""

from hashmake.model.result import Result, ResultId
from hashmake.model.tables import NO_VALUE, PathId, ValueId

_KEEP_ROOTS = 4


class Goal:
    """One goal of make in one directory.

    roots     (input digest, root ResultId) of the latest complete builds, newest last
    products  paths that builds of this goal ever wrote, also failed ones: "once written, derived"
    complete  products of the last complete build: path -> (version before the build, version after)
    began     paths that were there before a build of this goal took them over: their version and moment then
    """

    __slots__ = ("began", "changed", "complete", "key", "products", "roots")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.roots: list[tuple[bytes, ResultId]] = []
        self.products: set[PathId] = set()
        self.complete: dict[PathId, tuple[ValueId, ValueId]] = {}
        self.began: dict[PathId, tuple[ValueId, int]] = {}
        self.changed = False

    def root_for(self, inputs: bytes) -> ResultId | None:
        """The latest root result for these inputs."""
        for digest, rid in reversed(self.roots):
            if digest == inputs:
                return rid
        return None

    def set_root(self, inputs: bytes, root: Result) -> None:
        """A complete build ended."""
        self.roots = [(d, r) for d, r in self.roots if d != inputs][-_KEEP_ROOTS + 1 :]
        self.roots.append((inputs, root.id))
        before = self.complete
        self.complete = {pid: (pre, post) for pid, pre, post in root.outputs()}
        for pid, (pre, post) in before.items():
            # There before any build of this goal: it never becomes a product that can be hidden.
            if pre != NO_VALUE and pid not in self.complete:
                self.complete[pid] = (post, post)
        self.changed = True
