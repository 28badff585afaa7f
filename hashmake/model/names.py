"""Sets of names of variables: a frozenset of NAME, and what stands for more than one.

Computed names have a star for each part that is not fixed (makenames.py); EVERY and WORDS.

Imports nothing, because every null build passes through here.
"""

Names = frozenset[bytes]

STATE_NAME = b".hashmake"  # of state directories, also those of other trees: part of no listing
EVERY = b"*"  # any name: nothing can be left out
WORDS = b"="  # all words of the project's makefiles (Plugin.computes); no variable has this name
# Carry no meaning for what a step makes (design.md, rule 5).
MEANINGLESS = frozenset(
    b"MAKELEVEL MFLAGS MAKE_TERMOUT MAKE_TERMERR MAKE_RESTARTS _ OLDPWD SHLVL TERM COLUMNS LINES"
    b" HASHMAKE_RUN HASHMAKE_STEP HASHMAKE_MAKE HASHMAKE_STATE_DIR HASHMAKE_STORE HASHMAKE_STORE_SIZE"
    b" SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_AUTH_SOCK"
    b" SSH_AGENT_PID SSH_ASKPASS WINDOWID STY TMUX TMUX_PANE NO_COLOR CLICOLOR_FORCE FORCE_COLOR COLORTERM"
    b" FAKEROOTKEY".split()  # the last: which daemon of fakeroot's is asked
)


def pack(names: Names) -> bytes:
    """To bytes."""
    return EVERY if EVERY in names else b"\0".join(sorted(names))


def unpack(data: bytes) -> Names:
    """From bytes."""
    return frozenset(data.split(b"\0")) if data else frozenset()
