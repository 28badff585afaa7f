"""Which build is asked for: the goal's identity and the digest of what may change its result.

Imports next to nothing, because every null build passes through here.
"""

import os

from hashmake.model import digest
from hashmake.model.makeargs import MakeArguments
from hashmake.model.selection import Names, Selection

# Carry no meaning for what a step makes (design.md, rule 5).
MEANINGLESS = frozenset(
    b"MAKELEVEL MFLAGS MAKE_TERMOUT MAKE_TERMERR MAKE_RESTARTS _ OLDPWD SHLVL TERM COLUMNS LINES"
    b" HASHMAKE_RUN HASHMAKE_STEP HASHMAKE_MAKE HASHMAKE_STATE_DIR SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_AUTH_SOCK"
    b" SSH_AGENT_PID SSH_ASKPASS WINDOWID STY TMUX TMUX_PANE NO_COLOR CLICOLOR_FORCE FORCE_COLOR COLORTERM"
    b" FAKEROOTKEY".split()  # the last: which daemon of fakeroot's is asked
)


# In the order in which GNU make looks for them (its manual, "What Name to Give Your Makefile").
_DEFAULT_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


def goal_key(arguments: MakeArguments, where: str, out: str) -> bytes:
    """Identity of a goal, 16 bytes: directory, makefiles, output directory and goals; no variables, no options.

    What earlier builds of this goal made is hidden from the next one (design.md, section 2).
    """
    words = [where, out, *_makefiles(arguments, where), "", *arguments.goals]
    return digest.of_bytes(b"\0".join(os.fsencode(w) for w in words))


def _makefiles(arguments: MakeArguments, where: str) -> list[str]:
    """What -f names; nothing when it names the one that make takes anyway."""
    if len(arguments.makefiles) == 1:
        named = os.path.normpath(os.path.join(where, arguments.makefiles[0]))
        paths = (os.path.join(where, name) for name in _DEFAULT_MAKEFILES)
        if named == next((path for path in paths if os.access(path, os.F_OK)), None):
            return []
    return arguments.makefiles


def asked_digest(arguments: MakeArguments, make: bytes, printing: frozenset[str], texts: list[bytes]) -> bytes:
    """Digest of the rest of the request, less the environment: make, variables, options that matter, how -f is spelt.

    printing  variables that only change what is printed
    texts     digests of makefiles that are no files
    """
    variables = [v for v in arguments.variables if v.partition("=")[0] not in printing]
    words = [
        make,
        *(os.fsencode(w) for w in [*variables, "", *arguments.meaning, "", *arguments.makefiles, ""]),
        *texts,
    ]
    return digest.of_bytes(b"\0".join(words))


def input_digest(asked: bytes, environ: dict[bytes, bytes], where: bytes, names: Names) -> bytes:
    """Digest of the whole request: what was asked for, and those variables of the environment that count."""
    given = {}
    for name, value in environ.items():
        if name in MEANINGLESS or (name == b"PWD" and value == where) or name.startswith(b"HASHMAKE_"):
            continue
        if name in (b"MAKEFLAGS", b"GNUMAKEFLAGS") and value:
            from hashmake.model.environment import never, normal_makeflags

            given[name] = normal_makeflags(value, never)
        else:
            given[name] = value
    chosen = Selection(names).of(given)
    return digest.of_bytes(b"\0".join([asked, *(name + b"=" + chosen[name] for name in sorted(chosen))]))
