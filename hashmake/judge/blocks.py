"""Environment blocks of a replay: as recorded, but with today's values of variables that came from outside."""


class Blocks:
    """Blocks by number.

    A variable that nobody can name may have another value than in the build that is gone through again. Make would hand
    the new one on, to whom it had handed the old one.
    """

    def __init__(self, recorded: list[bytes], before: bytes, here: bytes) -> None:
        """`recorded`: all blocks; `before`: what make itself had been started with; `here`: what it would be now."""
        self._recorded = recorded
        self._known: dict[int, bytes] = {}
        old, new = _by_name(before), _by_name(here)
        differ = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        self._changes = {name: (old.get(name), new.get(name)) for name in differ}

    def recorded(self, number: int) -> bytes:
        """As it was."""
        return self._recorded[number]

    def __getitem__(self, number: int) -> bytes:
        """As it is now."""
        if not self._changes:
            return self._recorded[number]
        found = self._known.get(number)
        if found is None:
            found = self._known[number] = self._renewed(self._recorded[number])
        return found

    def _renewed(self, block: bytes) -> bytes:
        strings = _by_name(block)
        for name, (old, new) in self._changes.items():
            if strings.get(name) != old:
                continue  # make, or a step, has set it
            if new is None:
                strings.pop(name, None)
            else:
                strings[name] = new
        return b"\0".join(strings.values())


def _by_name(block: bytes) -> dict[bytes, bytes]:
    return {string.partition(b"=")[0]: string for string in block.split(b"\0") if string}
