"""The scripts that a step's shells read, and the variables that they name: each is looked into once."""

from hashmake.judge.world import DiskLike
from hashmake.model.names import Names
from hashmake.model.shelltext import variables_in
from hashmake.model.variables import WHOLE

_LARGEST = 1 << 20  # bytes of a script that is looked into


class Scripts:
    """Remembers what each version of a script names."""

    def __init__(self, disk: DiskLike) -> None:
        self._disk = disk
        self._known: dict[tuple[bytes, bytes], Names] = {}

    def names(self, path: bytes) -> Names:
        """The variables that a shell can look up when it runs this file; {WHOLE} when they can't be told."""
        key = (path, self._disk.content(path))
        found = self._known.get(key)
        if found is None:
            text = self._disk.read(path, _LARGEST + 1)
            known = text is not None and len(text) <= _LARGEST
            found = self._known[key] = frozenset(variables_in(text) if known and text is not None else {WHOLE})
        return found
