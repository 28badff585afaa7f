"""Kbuild: the plug-in for Linux, BusyBox, U-Boot and everything else built with scripts/Kbuild.include.

Kbuild puts the line it prints into the command itself (`set -e; echo '  CC foo.o'; gcc ...`), and how much is printed
into exported variables, so that V=1 or -s would change every step. Neither changes what a step makes.
"""

import re

from hashmake.kbuild.config import option_tables
from hashmake.kbuild.ksyms import NAME, KSyms, misfits
from hashmake.model.plugin import Computed, Files, Projection

_VARIABLES = frozenset(b"V KBUILD_VERBOSE quiet Q silence".split())
# Programs that, asked for a product, begin it from nothing whatever was there; and what a shell puts around them.
_BEGIN_ANEW = re.compile(
    rb"(?:(?:[\w./-]*-)?(?:gcc|cc|clang|as|ld|ar|nm|strip)(?:-\d+)?"
    rb"|rm|echo|printf|trap|set|exit|:|(?:\./)?scripts/basic/fixdep|(?:\./)?tools/objtool/objtool)\Z"
)
_COMMANDS = re.compile(rb"'(?:[^']|'\\'')*'|\"(?:[^\"\\]|\\.)*\"|[;|&\n]+|[^\s;|&'\"]+")
# What make reads here: makefiles, what syncconfig writes for it, and the commands and dependencies of each target.
_MAKEFILE = re.compile(
    rb"/(?:(?:GNU)?[Mm]akefile|Kbuild|Platform)[^/]*\Z|\.(?:mk|include)\Z|/include/config/auto\.conf\Z"
)
# What names no variable of make's: those commands, sources, scripts (what a shell names is seen there), configurations.
_NO_MAKEFILE = re.compile(rb"\.(?:cmd|[cdhiosS]|ko|sh|pl|py|awk|lds|order|config)\Z|/Kconfig[^/]*\Z")
_ECHO = re.compile(rb"(set -e;)\s*(?:echo '(?:[^'\\]|'\\''|\\)*'; *)?")


class Kbuild:
    """See the module's text."""

    always_make = False  # a tree of unknown state heals itself: what has no .cmd file is made again

    def __init__(self, files: Files) -> None:
        self._files = files

    def normal_argv(self, argv: list[bytes]) -> list[bytes]:
        """Without the leading `echo '...';` of a `set -e;` recipe: its text is only printed."""
        if len(argv) > 3 and argv[2] == b"-c" and argv[3].startswith(b"set -e;"):
            return [*argv[:3], _ECHO.sub(rb"\1 ", argv[3], count=1), *argv[4:]]
        return argv

    def meaningless(self, name: bytes, /) -> bool:
        """The variables that Kbuild derives from V= and -s."""
        return name in _VARIABLES

    def computes(self, path: bytes, /) -> Computed:
        """`$($(1))`, `$($(m:.o=-objs))`, `$(origin $(1))` are about targets, tools and options that makefiles list."""
        if _NO_MAKEFILE.search(path):
            return Computed.NOTHING
        return Computed.WORDS if _MAKEFILE.search(path) else Computed.A_LITTLE

    def tables(self, directories: tuple[bytes, ...]) -> list[tuple[bytes, Projection]]:
        """What syncconfig writes, and the list of needed symbols."""
        ksyms = KSyms(folded=self._folds(directories))
        exports = [(directory + b"/" + NAME, ksyms) for directory in dict.fromkeys(directories)]
        return [*option_tables(directories), *exports]

    def compares_times(self, argv: list[bytes], /) -> bool:
        """adjust_autoksyms.sh touches a stamp until it is newer (`-nt`) than a file that it made before."""
        return any(b"scripts/adjust_autoksyms.sh" in word for word in argv)

    def replaces(self, argv: list[bytes], /) -> bool:
        """Compilers, assemblers, linkers and archivers remove or truncate what they are asked to make.

        In the second pass of TRIM_UNUSED_KSYMS the object is there already; its assembler looks at it and removes it.
        """
        text = argv[3] if len(argv) > 3 and argv[1].endswith(b"sh") and argv[2] == b"-c" else b" ".join(argv[1:])
        if b">>" in text:
            return False
        expected = True
        removes = False
        for word in _COMMANDS.findall(text):
            if word[:1] in (b";", b"|", b"&", b"\n") or (expected and word == b"xargs"):
                expected = True
            elif expected and (not _BEGIN_ANEW.match(word) or (word.endswith(b"ar") and not removes)):
                return False  # ar adds to what is there
            else:
                removes = removes or (expected and word == b"rm")
                expected = False
        return True

    def only_a_stamp(self, path: bytes, /) -> bool:
        """Those of needed symbols; a stamp of an option says that it was ever set, and syncconfig makes it again."""
        return b"/include/ksym/" in path or b"/include/config/ksym/" in path

    def lists_places(self, path: bytes, /) -> bool:
        """`.fork.o.cmd`: the command, and what the compiler read, as fixdep writes them down."""
        name = path.rpartition(b"/")[2]
        return name[:1] == b"." and name.endswith(b".cmd")

    def misfits(self, directories: tuple[bytes, ...], /) -> list[bytes]:
        """Objects that do not export what autoksyms.h says: their stamps looked older than they."""
        return misfits(directories, self._files, self._folds(directories))

    def _folds(self, directories: tuple[bytes, ...]) -> bool:
        """Whether one of these is of a Linux whose stamps have folded names, as its own script says.

        An output directory has a link to its sources.
        """
        for top in dict.fromkeys(path for directory in directories for path in (directory, directory + b"/source")):
            script = self._files.read(top + b"/scripts/adjust_autoksyms.sh")
            if script is not None and b"include/config/ksym/" in script:
                return True
        return False
