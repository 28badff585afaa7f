"""The plan of a goal: what its last builds asked other machines for, and got, in one content.

Who builds the goal next reads it first, and need not ask step by step: on a network that takes 50 ms for an answer,
4,000 steps would wait for minutes. It is a hint: a step that is not in it is asked for as ever, the last machine that
writes it wins, and what it says is believed no more than what the server says of one step.

    pack([format, strings, sets, entries, silent])
    strings  questions (model/shared.py), NUL-joined, compressed
    sets     name, roots, environment and tools, questions: numbers of strings, differences, compressed; of each set
    silent   steps that were asked for, and told by nobody: what they leave can't be shared
    entries  step + set + answers, what was left, digests of its contents, age in builds; of each result; compressed
"""

import itertools
import sys
import zlib
from array import array

from hashmake.model.shared import Questions, Seen, pack, unpack

_FORMAT = b"hashmake-plan/2"
_KEY = 96
_OLDEST = 12  # builds that have not used an entry
_MOST_STRINGS = 500_000
_MOST_BYTES = 1 << 28

Digests = list[tuple[bytes, int]]


class Plan:
    """See the module's text. A set is looked at when it is asked for, and not before."""

    def __init__(self) -> None:
        self.results: dict[bytes, tuple[bytes, Digests, int]] = {}
        self.of_step: dict[bytes, dict[bytes, None]] = {}
        self.order: list[bytes] = []
        self.silent: set[bytes] = set()
        self.changed = False
        self._strings: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._packed: dict[bytes, tuple[bytes, bytes]] = {}

    # -- reading --------------------------------------------------------------------------------------------------

    @staticmethod
    def unpack(data: bytes) -> "Plan":
        """From bytes. Raises ValueError."""
        plan = Plan()
        form, strings, sets, entries, silent = unpack(data)
        if form != _FORMAT:
            raise ValueError("plan")
        plan._strings = _inflated(strings).split(b"\0")
        plan.silent = {silent[at : at + 32] for at in range(0, len(silent), 32)}
        parts = unpack(sets)
        plan._packed = {n: (m, q) for n, m, q in zip(parts[0::3], parts[1::3], parts[2::3], strict=True)}
        parts = unpack(_inflated(entries))
        for key, left, digests, age in zip(parts[0::4], parts[1::4], parts[2::4], parts[3::4], strict=True):
            if len(key) != _KEY or len(digests) % 40 or key[32:64] not in plan._packed:
                raise ValueError("entry")
            plan._enter(key, left, _digests(digests), age[0] if age else 0)
        return plan

    def _enter(self, key: bytes, left: bytes, digests: Digests, age: int) -> None:
        if key not in self.results:
            self.order.append(key)
        self.results[key] = (left, digests, age)
        self.of_step.setdefault(key[:32], {})[key[32:64]] = None

    def set_named(self, name: bytes) -> Seen:
        """A set. Raises ValueError."""
        try:
            head, numbers = self._packed[name]
            marks, env, tools = unpack(_inflated(head))
            values = array("I", _inflated(numbers))
            strings = self._strings
            asked = sorted([strings[at] for at in itertools.accumulate(values)])
        except (LookupError, OverflowError) as error:
            raise ValueError(str(error)) from error
        return Seen(name, marks.split(b"\0"), Questions(env, asked), tools)

    # -- writing --------------------------------------------------------------------------------------------------

    def use(self, key: bytes) -> None:
        """A build has used what is there already."""
        left, digests, age = self.results[key]
        if age:
            self.results[key] = (left, digests, 0)

    def add(self, key: bytes, seen: Seen, left: bytes, digests: Digests) -> None:
        """A result that is not there yet."""
        if seen.name not in self._packed:
            numbers = array("I", sorted(map(self._number, seen.questions.asked)))
            steps = array("I", (b - a for a, b in itertools.pairwise([0, *numbers])))
            head = pack([b"\0".join(seen.marks), seen.questions.env, seen.tools])
            self._packed[seen.name] = (zlib.compress(head, 1), zlib.compress(steps.tobytes(), 1))
        self._enter(key, left, digests, 0)
        self.changed = True

    def _number(self, question: bytes) -> int:
        if not self._numbers:
            self._numbers = {text: at for at, text in enumerate(self._strings)}
        found = self._numbers.get(question)
        if found is None:
            found = self._numbers[question] = len(self._strings)
            self._strings.append(question)
        return found

    def grow_older(self) -> None:
        """Another build begins."""
        for key, (left, digests, age) in list(self.results.items()):
            self.results[key] = (left, digests, age + 1)

    def packed(self) -> bytes:
        """To bytes: what was used lately."""
        if len(self._strings) > _MOST_STRINGS:
            return Plan().packed()  # it begins anew
        kept = [key for key in self.order if self.results[key][2] <= _OLDEST]
        names = dict.fromkeys(key[32:64] for key in kept)
        sets = pack([part for name in names for part in (name, *self._packed[name])])
        parts = []
        for key in kept:
            left, digests, age = self.results[key]
            parts += [key, left, b"".join(sha + size.to_bytes(8, "little") for sha, size in digests), bytes([age])]
        strings = zlib.compress(b"\0".join(self._strings), 1)
        silent = b"".join(sorted(self.silent - self.of_step.keys()))
        return pack([_FORMAT, strings, sets, zlib.compress(pack(parts), 1), silent])


def _digests(data: bytes) -> Digests:
    return [(data[at : at + 32], int.from_bytes(data[at + 32 : at + 40], "little")) for at in range(0, len(data), 40)]


def _inflated(data: bytes) -> bytes:
    """Raises ValueError, also where far more comes out than any plan holds."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, _MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not inflater.eof:
        raise ValueError("plan")
    return found


assert array("I").itemsize == 4, sys.platform  # noqa: S101  # as on all machines that Linux is built on
