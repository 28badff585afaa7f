"""Which variables of its environment a make can name: those in the texts that it read, and those of its steps."""

from hashmake.judge.account import Account
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model.envfacts import names_of
from hashmake.model.kinds import READ
from hashmake.model.makenames import names_in, words_in
from hashmake.model.names import EVERY, WORDS, Names
from hashmake.model.plugin import Computed, Plugin
from hashmake.model.recording import Recording
from hashmake.model.result import Result, ResultId
from hashmake.model.selection import Selection
from hashmake.model.tables import PathId, ValueId
from hashmake.model.variables import EXPRESSIONS, WHOLE

_LARGEST = 1 << 22  # bytes of a text that is looked into, ...
_A_LITTLE = 1 << 16  # ... of one that is most likely no makefile
_NAMED = b"M"  # kinds of these findings in the recording: names, and ...
_WORDS = b"W"  # ... words of a text where those are what can be computed
_ALL: Names = frozenset({EVERY})
_NONE: Names = frozenset()


class MakeNames:
    """Gathers names from makefiles, each looked into once, and from the steps below."""

    def __init__(self, recording: Recording, tree: Tree, disk: DiskLike, plugin: Plugin) -> None:
        self._recording = recording
        self._tree = tree
        self._disk = disk
        self._plugin = plugin
        self._of_facts: dict[int, Names] = {}
        self._words: Selection | None = None

    def of(self, account: Account, result: Result) -> Names:
        """The names for a step in which make ran, with this account and these steps below."""
        if WHOLE in account.names or EXPRESSIONS in account.names:
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

    def words(self) -> Selection:
        """All that makefiles of this project, read in any build, can name by words."""
        if self._words is None:
            self._words = Selection(self._recording.all_found(_WORDS))
        return self._words

    def spelt(self, names: Names) -> Names:
        """These names, with the words that are meant in the place of WORDS."""
        return names - {WORDS} | self.words().names if WORDS in names else names

    def _of_step(self, number: int) -> Names:
        """The names in a set of environment facts."""
        names = self._of_facts.get(number)
        if names is None:
            sets = self._recording.env_sets.all
            names = self._of_facts[number] = names_of(sets[number], sets)
        return names

    def _texts(self, account: Account) -> "list[Names]":
        """What each file names that the step's own processes read, also those that steps below it had made."""
        tables, tree = self._tree.tables, self._tree
        read = {(tables.fact_path[f], tables.fact_value[f]) for f in account.facts if tables.fact_kind[f] == READ}
        read |= {(pid, tree.state.get(pid, tree.on_disk(pid))) for pid in account.reread}
        return [self._text(PathId(pid), ValueId(value)) for pid, value in read]

    def _text(self, pid: PathId, value: ValueId) -> Names:
        path, version = self._tree.tables.paths[pid], self._tree.tables.values[value]
        computed = self._plugin.computes(path)
        unknown = _NONE if computed in (Computed.NOTHING, Computed.A_LITTLE) else _ALL
        if version[:1] != b"F":
            return _NONE if version else unknown  # a directory; or it was there once
        if computed is Computed.NOTHING:
            return _NONE
        found = self._recording.finding(_NAMED, version)
        if found is None:
            text = self._content(path, version, _LARGEST if computed is not Computed.A_LITTLE else _A_LITTLE)
            if text is None:
                return unknown
            found = self._look(text, version, computed)
        return found

    def _content(self, path: bytes, version: bytes, largest: int) -> bytes | None:
        if self._disk.content(path) != version:
            return None  # make read another text than the one there is now
        text = self._disk.read(path, largest + 1)
        return text if text is not None and (len(text) <= largest or text.startswith(b"\x7fELF")) else None

    def _look(self, text: bytes, version: bytes, computed: Computed) -> Names:
        if computed is Computed.ANY or text.startswith(b"\x7fELF"):
            found = names_in(text)
        elif b"\0" in text:
            found = _NONE
        else:
            # The words are in one place for all of them: a name of its own in each set would be there a thousand times.
            spelt, words = words_in(text)
            found = frozenset({WORDS, *(name for name in spelt if EVERY in name or name == b"PATH")})
            self._recording.found(_WORDS, version, words)
            self._words = None
        self._recording.found(_NAMED, version, found)
        return found
