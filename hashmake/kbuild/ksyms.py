"""autoksyms.h: the symbols that modules need, and which exports of an object depend on it (Linux 4.7 to 6.4).

With CONFIG_TRIM_UNUSED_KSYMS an export is compiled in only where its name is in this table. Its name is put together
by the preprocessor (`__KSYM_##sym`), so it is no use to look for it in the sources. But each object tells which exports
it offers, needed or not: 5.0 to 6.4 by a symbol `__ksym_marker_X` (include/linux/export.h), which goes into its text
where a step makes assembler text; 4.7 to 4.20 by the entries that fixdep writes to the .cmd file, where case and
underscores are folded away. From 6.5 on modpost decides, and there is no such table.
"""

import re

from hashmake.kbuild.symbols import EXPORTED, OFFERED, READ, named, symbols
from hashmake.model.plugin import Files, StepLike

NAME = b"include/generated/autoksyms.h"

_DEFINED = re.compile(rb"^#define __KSYM_(\S+) 1$", re.MULTILINE)
_MENTIONED = re.compile(rb"\b__KSYM_(\w+)\b(?!\s*##)")
_TEXT_MARKER = re.compile(rb"__ksym_marker_(\w+)")
_STAMP = re.compile(rb"wildcard include/config/ksym/(\S+)\.h\)")
_OBJECT, _TEXT, _COMMANDS, _SOURCE = b"O", b"S", b"D", b"k"
# Where the name is put together.
_EXPORT_HEADERS = (b"/linux/export.h", b"/asm-generic/export.h")
_COMPILERS = re.compile(rb"(?:cc1|clang(?:-\d+)?|cpp)\Z")
_FOLDED = b"/"  # in front of a name without case and underscores


def needed_in(table: bytes) -> set[bytes]:
    """The symbols that a table of this content says are needed."""
    return set(_DEFINED.findall(table))


def fold(name: bytes) -> bytes:
    """A symbol as Linux before 5.0 has it in the names of its stamps: lower case, underscores are slashes."""
    return _FOLDED + b"/".join(part for part in name.lower().split(b"_") if part)


class KSyms:
    """The projection of autoksyms.h (plugin.Projection).

    What a module needs does not depend on which exports there are: adjust_autoksyms.sh comes to the same list from any
    beginning, and from the right one at once. Stock Kbuild begins with the empty list, and compiles most units that
    export something twice.
    """

    seeded = True
    OBJECT = _OBJECT

    def __init__(self, folded: bool = False) -> None:
        """`folded`: stamps are named as Linux before 5.0 does."""
        self._folded = folded

    def stamps(self, path: bytes, before: bytes, after: bytes) -> list[bytes]:
        """What adjust_autoksyms.sh touches: for each symbol that only one of the two lists has."""
        names = needed_in(before) ^ needed_in(after)
        top = path[: -len(NAME)]
        if self._folded:
            return sorted({top + b"include/config/ksym/" + name.lower().replace(b"_", b"/") + b".h" for name in names})
        return sorted(top + b"include/ksym/" + name for name in names)

    def parse(self, data: bytes) -> dict[bytes, bytes]:
        """Each needed symbol; and for each folded name which symbols it may stand for."""
        found: dict[bytes, bytes] = {}
        for name in _DEFINED.findall(data):
            found[name] = b"1"
            key = fold(name)
            found[key] = found.get(key, b"") + b" " + name
        return found

    def names(self, step: StepLike) -> frozenset[bytes] | None:
        """The exports that the step's products offer; None where they don't tell."""
        if not all(_COMPILERS.match(reader[0].rpartition(b"/")[2]) for reader in step.readers):
            return None
        found: set[bytes] = set()
        told = False
        for path, version in step.wrote():
            letter = {b".o": _OBJECT, b".s": _TEXT}.get(path[-2:], _COMMANDS if path.endswith(b".cmd") else b"")
            there = step.found_in(letter, path, version) if letter else frozenset()
            if there is None or (letter == _OBJECT and READ not in there):
                return None
            told = told or letter in ((_COMMANDS,) if self._folded else (_OBJECT, _TEXT))
            found |= named(OFFERED, there) if letter == _OBJECT else there
        if not told:
            return None
        for path, version in step.read():
            if path.endswith((b".h", b".c", b".S")) and not path.endswith(_EXPORT_HEADERS):
                there = step.found_in(_SOURCE, path, version)
                if there is None:
                    return None
                found |= there
        return frozenset(found)

    def find(self, letter: bytes, data: bytes) -> frozenset[bytes]:
        """See plugin.Projection: an object's symbols, exports that other products offer or a source names."""
        if letter == _OBJECT:
            return symbols(data)
        if letter == _TEXT:
            return frozenset(_TEXT_MARKER.findall(data))
        if letter == _COMMANDS:
            return _offered_in(data)
        return frozenset(_MENTIONED.findall(data)) if b"__KSYM_" in data else frozenset()


def misfits(directories: tuple[bytes, ...], files: Files, folded: bool) -> list[bytes]:
    """Objects below the directories that don't export just what autoksyms.h wants of what they offer.

    `folded`: Linux before 5.0, whose .cmd files tell what is offered. Two symbols that differ in case and underscores
    only are the same there: an object that offers one of them may be named though it is right.
    """
    found = []
    for top in dict.fromkeys(directories):
        table = files.read(top + b"/" + NAME)
        if table is None:
            continue
        needed = needed_in(table)
        fits = _fits_folded if folded else _fits
        found += [path for path in _objects(top, files) if not fits(path, files, needed)]
    return found


def _fits(path: bytes, files: Files, needed: set[bytes]) -> bool:
    there = symbols(files.read(path) or b"")
    offered = named(OFFERED, there)
    return offered & needed == offered & named(EXPORTED, there)


def _fits_folded(path: bytes, files: Files, needed: set[bytes]) -> bool:
    offered = _offered_in(files.read(_commands(path)) or b"")
    if not offered:
        return True  # also what is linked of objects
    exported = named(EXPORTED, symbols(files.read(path) or b""))
    return exported == {name for name in needed if fold(name) in offered}


def _offered_in(commands: bytes) -> frozenset[bytes]:
    """The exports, folded, that a .cmd file of Linux before 5.0 tells of."""
    return frozenset(fold(name.replace(b"/", b"_")) for name in _STAMP.findall(commands))


def _commands(path: bytes) -> bytes:
    """Where Kbuild keeps how a file was made."""
    folder, _, name = path.rpartition(b"/")
    return folder + b"/." + name + b".cmd"


def _objects(top: bytes, files: Files) -> list[bytes]:
    """Every object that Kbuild made: what has a .cmd file beside it."""
    found = []
    for folder, _below, there in files.below(top):
        names = set(there)
        found += [folder + b"/" + n for n in sorted(there) if n.endswith(b".o") and b"." + n + b".cmd" in names]
    return found
