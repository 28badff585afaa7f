"""Which variables of an environment count for a make: those in a set of names. Every null build passes through here."""

from hashmake.model.names import EVERY, Names

# What make itself looks up, and what its built-in rules and variables name (make -p).
BUILT_IN: Names = frozenset(
    b"PATH SHELL MAKE MAKEFILES MAKEFLAGS GNUMAKEFLAGS MAKEFILE_LIST MAKEOVERRIDES MAKECMDGOALS MAKE_COMMAND CURDIR"
    b" VPATH GPATH SUFFIXES TMPDIR MAKE_TMPDIR LANG LANGUAGE LC_ALL LC_CTYPE LC_MESSAGES LC_COLLATE LOCPATH NLSPATH"
    b" AR ARFLAGS AS ASFLAGS CC CFLAGS CO COFLAGS CPP CPPFLAGS CTANGLE CWEAVE CXX CXXFLAGS F77 F77FLAGS FC FFLAGS"
    b" GET GFLAGS LD LDFLAGS LDLIBS LEX LFLAGS LINT LINTFLAGS LOADLIBES M2C MAKEINFO MODFLAGS OBJC OBJCFLAGS"
    b" OUTPUT_OPTION PC PFLAGS RFLAGS RM TANGLE TARGET_ARCH TARGET_MACH TEX TEXI2DVI"
    b" TEXI2DVI_FLAGS WEAVE YACC YFLAGS MFLAGS".split()
)
_BUILT_IN_FORMS = (b"COMPILE.", b"LINK.", b"PREPROCESS.", b"LEX.", b"YACC.", b"CHECKOUT,", b"LINT.", b"EXPORT.", b".")


def _plain(name: bytes) -> bool:
    """Whether a makefile's text would show this name as one word."""
    return name.replace(b"_", b"a").isalnum() and not name[:1].isdigit()


def _fits(name: bytes, pieces: list[bytes]) -> bool:
    """Whether a name is made of these fixed pieces in this order, with anything between them."""
    head, *middle, tail = pieces
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    at, end = len(head), len(name) - len(tail)
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


class Selection:
    """A set of names in the form in which it is asked which variables of an environment count."""

    def __init__(self, names: Names, besides: Names = frozenset()) -> None:
        """`besides`: names that don't count, whatever names them but themselves."""
        self.names = names
        self._besides = besides - names
        self._known: dict[bytes, bool] = {}  # a kernel's makes are asked of the same few hundred names again and again
        self._computed = [name.split(EVERY) for name in names if EVERY in name]

    def has(self, name: bytes) -> bool:
        """Whether a variable of this name can be looked up."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._has(name)
        return found

    def _has(self, name: bytes) -> bool:
        if name in self._besides:
            return False
        if name in self.names or name in BUILT_IN or not _plain(name) or name.startswith(_BUILT_IN_FORMS):
            return True
        return any(_fits(name, pieces) for pieces in self._computed)

    def of(self, variables: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Those of these variables that count: named, or named by the value of another one that does.

        make expands what it took from the environment when it is referred to.
        """
        chosen: dict[bytes, bytes] = {}
        selection = self
        while True:
            new = {n: v for n, v in variables.items() if n not in chosen and selection.has(n)}
            if not new:
                return chosen
            chosen |= new
            texts = [value for value in new.values() if b"$" in value]
            if not texts:
                return chosen
            from hashmake.model.makenames import names_in

            more = frozenset[bytes]().union(*map(names_in, texts))
            if EVERY in more:
                return dict(variables)
            selection = Selection(more, self._besides)
