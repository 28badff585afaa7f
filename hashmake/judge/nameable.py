"""Which variables of its environment a make can name: those in the texts that it read, and those of its steps."""

from hashmake.judge.account import Account
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model import variables
from hashmake.model.kinds import READ
from hashmake.model.makenames import names_in
from hashmake.model.names import EVERY, Names, unpack
from hashmake.model.recording import Recording
from hashmake.model.result import Result, ResultId
from hashmake.model.tables import PathId, ValueId

_LARGEST = 1 << 22  # bytes of a text that is looked into
_FOUND = b"M"  # the kind of these findings in the recording
_ALL: Names = frozenset({EVERY})


class MakeNames:
    """Gathers names from makefiles, each looked into once, and from the steps below."""

    def __init__(self, recording: Recording, tree: Tree, disk: DiskLike) -> None:
        self._recording = recording
        self._tree = tree
        self._disk = disk
        self._of_facts: dict[int, Names] = {}

    def of(self, account: Account, result: Result) -> Names:
        """The names for a step in which make ran, with this account and these steps below."""
        if variables.WHOLE in account.names or variables.EXPRESSIONS in account.names:
            return _ALL
        found = set(account.names)
        for number in result.kids:
            kid = self._recording.result(ResultId(number))
            found |= self._of_step(kid.env) if kid is not None else _ALL
            if EVERY in found:
                return _ALL
        for text in self._texts(account):
            found |= text
            if EVERY in found:
                return _ALL
        return frozenset(found)

    def _of_step(self, number: int) -> Names:
        """The names in a set of environment facts."""
        names = self._of_facts.get(number)
        if names is None:
            facts = self._recording.env_sets.all[number]
            if facts.startswith(b"\2"):
                names = unpack(self._recording.env_sets.all[int(facts[1:].partition(b"=")[0])])
            else:
                names = frozenset(fact.partition(b"=")[0] for fact in facts.split(b"\0") if fact and fact[:1] != b"\1")
            self._of_facts[number] = names
        return names

    def _texts(self, account: Account) -> "list[Names]":
        """What each file names that the step's own processes read, also those that steps below it had made."""
        tables, tree = self._tree.tables, self._tree
        read = {(tables.fact_path[f], tables.fact_value[f]) for f in account.facts if tables.fact_kind[f] == READ}
        read |= {(pid, tree.state.get(pid, tree.on_disk(pid))) for pid in account.reread}
        return [self._text(PathId(pid), ValueId(value)) for pid, value in read]

    def _text(self, pid: PathId, value: ValueId) -> Names:
        path, version = self._tree.tables.paths[pid], self._tree.tables.values[value]
        if version[:1] != b"F":
            return _ALL if not version else frozenset()  # it was there once; or a directory
        found = self._recording.finding(_FOUND, version)
        if found is None:
            found = self._look(path, version)
        return found

    def _look(self, path: bytes, version: bytes) -> Names:
        if self._disk.content(path) != version:
            return _ALL  # make read another text than the one there is now
        text = self._disk.read(path, _LARGEST + 1)
        if text is None:
            return _ALL
        found = names_in(text) if len(text) <= _LARGEST or text.startswith(b"\x7fELF") else _ALL
        self._recording.found(_FOUND, version, found)
        return found
