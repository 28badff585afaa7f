"""What a step is: its identity, and the environment it can see. Pure: no files, no processes.

Identity is kind, directory, program and arguments. The environment is no part of it: each step depends on the variables
that its processes were seen to look up (docs/design.md, "Environment by name"), a make process on all of them.
"""

import re
from collections.abc import Callable

from hashmake.model import digest
from hashmake.model.goal import MEANINGLESS
from hashmake.model.makeargs import by_name
from hashmake.model.selection import EVERY, Selection, unpack

Names = frozenset[bytes]

SHELLS: Names = frozenset(b"sh dash bash ksh mksh zsh ash".split())
WHOLE = b"*"  # stands for the whole environment in a set of environment facts
EXPRESSIONS = b"(("  # in a set of names: the values of these are expressions, which name others
FUNCTIONS = b"BASH_FUNC_*"  # stands for all functions that a bash exported
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

_JOBSERVER = re.compile(rb" ?--jobserver-(?:auth|fds)=\S+| ?-j\d*(?= |$)| ?-O\w*(?= |$)| ?--sync-mutex=\S+")
_WORD = re.compile(rb"(?:[^ \\]|\\.)+", re.DOTALL)  # a blank in a value has a backslash before it
_OUTPUT_FLAGS = b"swkj"  # printing and keep-going never change what a step makes


def normal_makeflags(value: bytes, meaningless: Callable[[bytes], bool]) -> bytes:
    """MAKEFLAGS without jobserver words, -j, -O, -s, -w, -k and the variable settings that `meaningless` names."""
    options, dashes, variables = value.partition(b" -- ")
    if not dashes and value.startswith(b"-- "):
        options, variables = b"", value[3:]
    options = _JOBSERVER.sub(b"", b" " + options).strip()
    words = options.split()
    if words and not words[0].startswith(b"-") and b"=" not in words[0]:
        words[0] = bytes(c for c in words[0] if c not in _OUTPUT_FLAGS)
    words = [w for w in words if w and w not in (b"--no-print-directory", b"--print-directory", b"--no-silent")]
    kept = [v.decode("latin-1") for v in _WORD.findall(variables) if not meaningless(v.partition(b"=")[0])]
    return b" ".join(words) + (b" -- " + " ".join(by_name(kept)).encode("latin-1") if kept else b"")


def never(_name: bytes) -> bool:
    """No name is meaningless (the default plug-in)."""
    return False


class Environment:
    """One environment block as a step was started with.

    block     the strings, NUL-joined, without ours: what it takes to run the step again
    variables name -> value, without what carries no meaning; MAKEFLAGS in normal form
    """

    __slots__ = ("_chosen", "_whole", "block", "id", "variables")

    def __init__(self, number: int, strings: list[bytes], own_library: bytes, meaningless: Callable[[bytes], bool]):
        self.id = number
        kept: list[bytes] = []
        variables: dict[bytes, bytes] = {}
        functions: list[bytes] = []
        for given in strings:
            string = given
            name, _, value = string.partition(b"=")
            if name == b"LD_PRELOAD":
                others = [w for w in re.split(rb"[ :]", value) if w and w != own_library]
                if not others:
                    continue
                value = b" ".join(others)
                string = name + b"=" + value
            if name.startswith(b"HASHMAKE_"):
                continue
            kept.append(string)
            if name in MEANINGLESS or meaningless(name):
                continue
            if name in (b"MAKEFLAGS", b"GNUMAKEFLAGS"):
                value = normal_makeflags(value, meaningless)
            elif name == b"MAKEOVERRIDES":
                continue  # repeats what MAKEFLAGS says
            variables[name] = value
            if name.startswith(b"BASH_FUNC_"):
                functions.append(string)
        if functions:
            variables[FUNCTIONS] = digest.of_bytes(b"\0".join(sorted(functions))).hex().encode()
        self.block = b"\0".join(kept)
        self.variables = variables
        self._whole: dict[bytes, bytes] = {}
        self._chosen: dict[tuple[bytes, bytes], bytes] = {}

    def whole(self, cwd: bytes) -> bytes:
        """Digest of everything that carries meaning for a process started in cwd."""
        found = self._whole.get(cwd)
        if found is None:
            strings = [n + b"=" + v for n, v in self.variables.items() if n != b"PWD" or v != cwd]
            found = self._whole[cwd] = digest.of_bytes(b"\0".join(sorted(strings)))
        return found

    def chosen(self, names: bytes, cwd: bytes) -> bytes:
        """Digest of the variables that count for a make which can name these (selection.pack), started in cwd."""
        found = self._chosen.get((names, cwd))
        if found is None:
            here = Selection(unpack(names)).of(self.variables)
            strings = [n + b"=" + v for n, v in here.items() if n != b"PWD" or v != cwd]
            found = self._chosen[names, cwd] = digest.of_bytes(b"\0".join(sorted(strings)))
        return found

    def facts(self, names: set[bytes], cwd: bytes, searched: list[bytes] | None = None) -> bytes:
        """The set of environment facts for these names: NUL-joined NAME=VALUE, or NAME alone where it is not set.

        searched  names that were looked for along PATH, if SEARCH is among the names: they follow its value, each
                  after a byte 1, in a fact that begins with one
        """
        if WHOLE in names:
            return b"*=" + self.whole(cwd)
        get = self.variables.get
        out = []
        if EXPRESSIONS in names:
            names = self._in_expressions(names - {EXPRESSIONS})
        path = self.variables.get(b"PATH")
        if SEARCH in names and path is not None and b"PATH" not in names and searchable(path):
            names = names - {SEARCH}
            if searched:
                out.append(b"\1".join([b"", path, *searched]))
        elif SEARCH in names:
            names = names - {SEARCH} | {b"PATH"}
        for name in sorted(names):
            if name in MEANINGLESS or name == b"PWD":
                continue
            value = get(name)
            out.append(name if value is None else name + b"=" + value)
        return b"\0".join(out)

    def _in_expressions(self, names: set[bytes]) -> set[bytes]:
        """These names, and those that their values name: N=M+1 makes $((N)) depend on M."""
        found: set[bytes] = set()
        rest = names
        while rest:
            found |= rest
            values = (self.variables.get(name, b"") for name in rest)
            rest = {token for value in values for token in _TOKEN.findall(value)} - found
        return found

    def searches(self, facts: bytes) -> tuple[bytes, list[bytes]] | None:
        """The value of PATH along which these facts had names searched, and the names; None: none, or it is as here."""
        if not facts.startswith(b"\1"):
            return None
        path, *names = facts.partition(b"\0")[0][1:].split(b"\1")
        return None if path == self.variables.get(b"PATH") else (path, names)

    def difference(self, facts: bytes, cwd: bytes) -> bytes | None:
        """The first variable in which these facts do not hold here; None when all hold (searches left out)."""
        if not facts:
            return None
        if facts.startswith(b"*="):
            return None if facts[2:] == self.whole(cwd) else WHOLE
        for fact in facts.split(b"\0"):
            if fact.startswith(b"\1"):
                continue
            name, equals, value = fact.partition(b"=")
            here = self.variables.get(name)
            if (here is not None or equals) and here != (value if equals else None):
                return name
        return None

    def first_changed(self, before: "Environment", among: bytes = EVERY) -> bytes:
        """The first variable that differs from an earlier environment; WHOLE where none but PWD does.

        among  the names of those that count (selection.pack)
        """
        here, there = (Selection(unpack(among)).of(e.variables) for e in (self, before))
        names = sorted((here.keys() | there.keys()) - {b"PWD"})
        return next((n for n in names if before.variables.get(n) != self.variables.get(n)), WHOLE)


def searchable(path: bytes) -> bool:
    """Whether a value of PATH leads to the same files from everywhere."""
    return b"\1" not in path and all(directory.startswith(b"/") for directory in path.split(b":"))


def key_of(kind: bytes, cwd: bytes, argv: list[bytes]) -> bytes:
    """Identity of a step, 16 bytes."""
    return digest.of_bytes(b"\0".join([kind, cwd, *argv]))


# ---- which commands only print ------------------------------------------------------------------------------------

_TALKERS = frozenset(b"echo printf : true test [ tput".split())
_QUOTED = re.compile(rb"'[^']*'|\"(?:[^\"\\$`]|\\.|\$\{?\w+\}?)*\"")
_BETWEEN = re.compile(rb"&&|\|\||[;\n]")


def only_prints(argv: list[bytes]) -> bool:
    """Whether a command can be run for what it prints, at another moment than its own: it can change nothing.

    argv  program, then its arguments with its name in front. `rm -f x` that found nothing to remove is none of these.
    """
    program = argv[0].rpartition(b"/")[2]
    if program not in SHELLS:
        return program in _TALKERS
    if len(argv) != 4 or argv[2][:1] != b"-" or b"c" not in argv[2]:
        return False
    text = _QUOTED.sub(b"q", argv[3])
    if any(mark in text for mark in (b"<", b">", b"`", b"$(", b"|", b"&", b"(", b"{")) and not _harmless(text):
        return False
    commands = [piece.split() for piece in _BETWEEN.split(text) if piece.strip()]
    return bool(commands) and all(words[0] in _TALKERS for words in commands)


def _harmless(text: bytes) -> bool:
    """Of the marks that may mean a change, only && and || are there, or standard output turned to standard error."""
    rest = re.sub(rb"1?>&2|&&|\|\|", b"", text)
    return not re.search(rb"[<>`|&({]", rest)


# ---- which variables a shell text can use -------------------------------------------------------------------------

_REFERENCE = re.compile(rb"\$\{?#?([A-Za-z_][A-Za-z0-9_]*)")
_TOKEN = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_END = rb"\s*(?:$|[;&|)}`\n#<>]|\d[<>])"


def _each(*patterns: tuple[bytes, bytes]) -> tuple[tuple[bytes, re.Pattern[bytes]], ...]:
    """Patterns with what a text must hold for each: most texts hold none, and are long."""
    return tuple((guard, re.compile(pattern, re.MULTILINE)) for guard, pattern in patterns)


# Names made at run time, or all of them printed: then only the whole environment is safe. By commands, ...
_TELLS_ALL = _each(
    (b"eval", rb"eval(?<![\w-]eval)(?![\w-])"),
    (b"compgen", rb"compgen"),
    (b" -v", rb"(?:test|\[)[^;&|\n]*(?<!command)\s-v\s+[\"']?\$"),
    (b" -R", rb"(?:test|\[)[^;&|\n]*\s-R\s+[\"']?\$"),
    (b"set", rb"set(?<![^\s;&|({`!]set)(?:\s+-o\s+posix)?" + _END),
    *(
        (word, word + rb"(?<![\w-]" + word + rb")(?:(?:\s+[-+]\w+)*" + _END + rb"|\s+(?:[-+]\w+\s+)*-\w*[pn])")
        for word in (b"export", b"declare", b"typeset", b"readonly", b"local")
    ),
)
# ... and by expansions, which also happen in lines of a here-document that look like comments.
_COMPUTED = _each(
    (b"${!", rb"\$\{!(?!\w+\[[@*]\]\})"),
    (b"@", rb"@[PAaKk]\}"),
    (b"((", rb"\(\([^)]*(?:\$\(|`|\$\{[^}]*\}[\w$]|\}\$[\w{]|(?<!\w)[A-Za-z_$]\w*\$[\w{])"),
)
_COMMENT = re.compile(rb"^[ \t]*#[^\n]*", re.MULTILINE)
# Where a plain word can be a variable's name.
_ARITHMETIC = _each(
    (b"((", rb"\(\("),
    (b"$[", rb"\$\["),
    (b"let", rb"let(?<!\wlet)\b"),
    (b"${", rb"\$\{(?:#?\w+\[|\w+:[^-=?+}])"),
    (b"[", rb"^[ \t]*\w+\["),
    (b"[[", rb"\[\[[^\n]*\s-(?:eq|ne|lt|le|gt|ge)\s"),
    (b" -v", rb"(?:test|\[)[^;&|\n]*(?<!command)\s-v\s"),
    (b" -R", rb"(?:test|\[)[^;&|\n]*\s-R\s"),
    *(
        (word, word + rb"\s+(?:[-+]\w+\s+)*-\w*i")
        for word in (b"export", b"declare", b"typeset", b"readonly", b"local")
    ),
)
# A tilde where a word, or a value, can begin; cd without a directory, or with one that may turn out to be no word.
_HOME = _each(
    (b"~", rb"~(?<![^\s=:;&|<>(){},`!+?-]~)"),
    (b"cd", rb"cd(?<!\wcd)(?:\s+-\S*)*(?:" + _END + rb"|\s+[$`])"),
)


def _any(patterns: tuple[tuple[bytes, re.Pattern[bytes]], ...], text: bytes) -> bool:
    return any(guard in text and pattern.search(text) for guard, pattern in patterns)


def variables_in(text: bytes) -> set[bytes]:
    """Names of variables that a shell running this text can look up, EXPRESSIONS; {WHOLE} when they can't be told.

    Not among them: SHELL_READS, which every shell can.
    """
    text = text.replace(b"\\\n", b" ")
    if _any(_COMPUTED, text) or _any(_TELLS_ALL, _COMMENT.sub(b"", text) if b"#" in text else text):
        return {WHOLE}
    names = set(_REFERENCE.findall(text))
    if _any(_HOME, text):
        names.add(b"HOME")
    if _any(_ARITHMETIC, text):
        names.update(_TOKEN.findall(text))
        names.add(EXPRESSIONS)
    return names
