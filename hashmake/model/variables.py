"""What a step looked up in its environment: a set of names, of which some stand for more than one variable."""

import re

from hashmake.model.names import Names

WHOLE = b"*"  # stands for the whole environment in a set of environment facts
EXPRESSIONS = b"(("  # in a set of names: the values of these are expressions, which name others
FUNCTIONS = b"BASH_FUNC_*"  # stands for all functions that a bash exported
HERE = b"./"  # in a set of names: where the process is, as a full path
SEARCH = b"\1"  # in a set of names: programs are searched for along PATH, whose value is not seen otherwise
# What a shell goes by though no text names it.
SHELL_READS: Names = frozenset(
    b"CDPATH ENV BASH_ENV POSIXLY_CORRECT SHELLOPTS BASHOPTS BASH_COMPAT BASH_XTRACEFD PS4 IFS GLOBIGNORE GLOBSORT"
    b" EXECIGNORE FUNCNEST OPTIND".split()
) | {FUNCTIONS}
# What ld.so and libc go by in any program, where no library of ours sees it.
LIBC_READS: Names = frozenset(
    [*b"LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT POSIXLY_CORRECT GCONV_PATH LOCPATH NLSPATH TZDIR".split(), SEARCH]
)
TOKEN = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")  # what may be a variable's name
