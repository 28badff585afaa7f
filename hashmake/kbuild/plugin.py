"""Kbuild: the plug-in for Linux, BusyBox, U-Boot and everything else built with scripts/Kbuild.include.

Kbuild puts the line it prints into the command itself (`set -e; echo '  CC foo.o'; gcc ...`), and how much is printed
into exported variables, so that V=1 or -s would change every step. Neither changes what a step makes.
"""

import re

_VARIABLES = frozenset(b"V KBUILD_VERBOSE quiet Q silence".split())
_ECHO = re.compile(rb"(set -e;)\s*(?:echo '(?:[^'\\]|'\\''|\\)*'; *)?")


class Kbuild:
    """See the module's text."""

    always_make = False  # a tree of unknown state heals itself: what has no .cmd file is made again

    def normal_argv(self, argv: list[bytes]) -> list[bytes]:
        """Without the leading `echo '...';` of a `set -e;` recipe: its text is only printed."""
        if len(argv) > 3 and argv[2] == b"-c" and argv[3].startswith(b"set -e;"):
            return [*argv[:3], _ECHO.sub(rb"\1 ", argv[3], count=1), *argv[4:]]
        return argv

    def meaningless(self, name: bytes, /) -> bool:
        """The variables that Kbuild derives from V= and -s."""
        return name in _VARIABLES
