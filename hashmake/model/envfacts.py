"""Environment facts: what a step's record says of the variables that it depends on. Pure.

NUL-joined: NAME=VALUE, or NAME alone where it was not set (Environment.facts); one that begins with a byte 1 tells
along which PATH which names were searched. For a step in which make ran, the rest is one fact: a byte 2, the number of
the set of names that its makefiles can name, `=`, and the digest of those variables.
"""

from collections.abc import Callable

from hashmake.model.names import Names, unpack
from hashmake.model.variables import WHOLE


def of_make(facts: bytes) -> tuple[int, bytes] | None:
    """The number of the set of names, and the digest; None for a step that depends on single variables."""
    if facts[:1] == b"\1":
        facts = facts.partition(b"\0")[2]
    if facts[:1] != b"\2":
        return None
    number, _, known = facts[1:].partition(b"=")
    return int(number), known


def joined(searched: bytes, number: int, known: bytes) -> bytes:
    """The facts of a step in which make ran; `searched`: that fact, empty where PATH counts by its value."""
    return (searched + b"\0" if searched else b"") + b"\2%d=" % number + known


_HIDDEN = b"\3H"


def hidden(facts: bytes, sum_of: Callable[[bytes], bytes]) -> bytes:
    """The same facts with digests for values: others can tell whether theirs are the same, and no more."""
    found = []
    for fact in facts.split(b"\0"):
        name, equals, _value = fact.partition(b"=")
        plain = not equals or name == WHOLE or fact[:1] == b"\1"
        found.append(fact if plain else name + b"=" + _HIDDEN + sum_of(fact).hex().encode())
    return b"\0".join(found)


def shown(facts: bytes, said_here: Callable[[bytes], bytes | None], sum_of: Callable[[bytes], bytes]) -> bytes | None:
    """The inverse, where all values are as here (`said_here`: NAME=VALUE of a variable); else None."""
    found = []
    for fact in facts.split(b"\0"):
        name, _, value = fact.partition(b"=")
        if not value.startswith(_HIDDEN):
            found.append(fact)
            continue
        here = said_here(name)
        if here is None or sum_of(here).hex().encode() != value[len(_HIDDEN) :]:
            return None
        found.append(here)
    return b"\0".join(found)


def names_of(facts: bytes, sets: list[bytes]) -> Names:
    """All variables that these facts are about (`sets`: the sets of names by number)."""
    make = of_make(facts)
    if make:
        return unpack(sets[make[0]])
    return frozenset(fact.partition(b"=")[0] for fact in facts.split(b"\0") if fact and fact[:1] != b"\1")


def renumbered(facts: bytes, number_of: Callable[[int], int]) -> bytes:
    """The same facts where sets of names have other numbers."""
    make = of_make(facts)
    if not make:
        return facts
    return joined(facts.partition(b"\0")[0] if facts[:1] == b"\1" else b"", number_of(make[0]), make[1])
