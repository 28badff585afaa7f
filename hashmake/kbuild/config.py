"""CONFIG_ options: autoconf.h, auto.conf and rustc_cfg, and which options their readers can mention.

The C preprocessor, sparse and rustc can only see an option whose name stands in a file that they read or on their
command line; so the names are looked for as text, comments included, as scripts/basic/fixdep.c does. What a file says
of an option is kept as a name, or as a prefix with "*" where the rest of the name is put to it elsewhere:
`CONFIG_##x`, `CONFIG_X_$(y)`, an argument of a macro that may paste, a whole macro. make's rules are its own; grep and
sed are believed where their pattern names one option from its first letter to the "=".
"""

import re
from collections.abc import Iterator

from hashmake.kbuild.option import Names, option_text
from hashmake.model.plugin import StepLike

_COMPILERS = re.compile(rb"(?:cc1|cc1plus|clang(?:-\d+)?|sparse|cpp|rustc)\Z")
_ALL = b"CONFIG_*"
_C, _MAKE = b"c", b"m"
# Macros of include/linux/kconfig.h; all that they put to a name is _MODULE.
_ASKS = frozenset(b"defined IS_ENABLED IS_BUILTIN IS_MODULE IS_REACHABLE __is_defined if while return sizeof".split())

_WORD = re.compile(rb"CONFIG(?:_[A-Za-z0-9_]*)?(?![A-Za-z0-9_])")
_WORD_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_PASTED = re.compile(rb"\s*##|\\\r?\n")
_CALLED = re.compile(rb"([A-Za-z_]\w*)\s*\(\s*\Z")
_WHOLE_MACRO = re.compile(rb"\A[ \t]*#[ \t]*define[ \t]+\w+(?:\([^)\n]*\))?[ \t]+\(?[ \t]*\Z")
_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)


def _words(data: bytes) -> Iterator[re.Match[bytes]]:
    """Where CONFIG or a name that begins so stands. A look behind in the pattern would be tried everywhere: slow."""
    return (m for m in _WORD.finditer(data) if not m.start() or data[m.start() - 1] not in _WORD_LETTERS)


def _in_c(data: bytes) -> frozenset[bytes]:
    """What C, assembler or Rust text can mention."""
    if b"CONFIG" not in data:
        return frozenset()
    found = set()
    bare = False
    for match in _words(data):
        name = match[0]
        if name in (b"CONFIG", b"CONFIG_"):
            bare = True
        elif _PASTED.match(data, match.end()) or _may_be_pasted(data, match):
            found.add(name + b"*")
        found.add(name)
    found -= {b"CONFIG", b"CONFIG_"}
    if bare:
        # Common in comments ("all CONFIG_* options"), where it means nothing.
        text = _COMMENT.sub(b" ", data)
        if any(m[0] in (b"CONFIG", b"CONFIG_") and _makes_a_name(text, m) for m in _words(text)):
            found.add(_ALL)
    return frozenset(found)


def _may_be_pasted(data: bytes, match: re.Match[bytes]) -> bool:
    line = data[data.rfind(b"\n", 0, match.start()) + 1 : match.start()]
    call = _CALLED.search(line)
    if call is not None or line.rstrip()[-1:] == b",":
        return call is None or call[1] not in _ASKS
    return _WHOLE_MACRO.match(line) is not None


def _makes_a_name(text: bytes, match: re.Match[bytes]) -> bool:
    """Whether a bare CONFIG or CONFIG_ can become an option's name: pasted, or as the argument of a macro."""
    if _PASTED.match(text, match.end()):
        return True
    before, after = text[: match.start()].rstrip(b" \t")[-1:], text[match.end() :].lstrip(b" \t")[:1]
    return (before in b"(," and after in b"),") or (match[0] == b"CONFIG_" and before != b'"' and after not in b'"')


_REFERENCE = re.compile(rb"\$[({]\Z")
_CONDITION = re.compile(rb"\A\s*(?:else\s+)?ifn?def\s+\Z")


def _in_make(data: bytes) -> frozenset[bytes]:
    """What a makefile (or a command line, or an environment) can mention."""
    found = set()
    if b".VARIABLES" in data:
        found.add(_ALL)  # all names that there are
    for match in _words(data):
        name, after = match[0], data[match.end() : match.end() + 1]
        if after in (b"$", b"%") or data[match.end() : match.end() + 2] == b"\\\n":
            found.add(name + b"*")
        elif name == b"CONFIG_":
            found.add(_ALL)
        elif name != b"CONFIG":
            found.add(name)
            line = data[data.rfind(b"\n", 0, match.start()) + 1 : match.start()]
            direct = _REFERENCE.search(line) and after in (b")", b":", b"}")
            if not direct and not _CONDITION.match(line) and not line.lstrip().startswith(b"#"):
                found.add(name + b"*")  # a word that may be put together with others
    return frozenset(found)


# ^CONFIG_X= in grep, and in sed -n s/^CONFIG_X=\(.*\)$/\1/p: one option, and no other.
_ANCHORED = re.compile(rb"\^(CONFIG_[A-Za-z0-9_]+)=[^|\\\n]*\Z")
_SED = re.compile(rb"s/\^(CONFIG_[A-Za-z0-9_]+)=[^/|\n]*/[^/\n]*/p\Z")


def _by_pattern(reader: list[bytes]) -> frozenset[bytes] | None:
    """The option that grep or sed looks for; None when it is not just one."""
    program, words = reader[0].rpartition(b"/")[2], reader[2:]
    if b"" in words:
        return None  # not all of them are known
    if program in (b"grep", b"egrep") and words[:1] == [b"-q"]:
        words = words[1:]
        match = _ANCHORED.match(words[0]) if len(words) == 2 else None
    elif program == b"sed" and words[:1] == [b"-n"] and len(words) == 3:
        match = _SED.match(words[1])
    else:
        return None
    return frozenset({match[1]}) if match is not None else None


class Config:
    """The projection of tables of CONFIG_ options (plugin.Projection)."""

    seeded = False

    def __init__(self, parse: Names) -> None:
        self.parse = parse

    def stamps(self, _path: bytes, _before: bytes, _after: bytes) -> list[bytes]:
        """Not asked for: a table of options is never seeded."""
        return []

    def names(self, step: StepLike) -> frozenset[bytes] | None:
        """See plugin.Projection."""
        found: set[bytes] = set()
        letters = set()
        for reader in step.readers:
            program = reader[0].rpartition(b"/")[2]
            if _COMPILERS.match(program):
                letters.add(_C)
            elif program in (b"make", b"gmake") or program.startswith(b"make-"):
                letters.add(_MAKE)
            else:
                named = _by_pattern(reader)
                if named is None:
                    return None
                found |= named
        for letter in letters:
            mentioned = self._mentioned(step, letter)
            if mentioned is None:
                return None
            found |= mentioned
        return frozenset(found) | {b""}

    def _mentioned(self, step: StepLike, letter: bytes) -> set[bytes] | None:
        """What the step's words and the files that it read can mention; None when a file has changed since."""
        found: set[bytes] = set()
        for text in (*step.argv, *(step.block.split(b"\0") if letter == _MAKE else ())):
            if b"CONFIG" in text:
                found |= self.find(letter, _spread(text))
        there = step.mentioned(letter)
        if there is None:
            return None
        found |= there
        if letter == _C:
            # IS_ENABLED, IS_MODULE and IS_REACHABLE look for both.
            found |= {name + b"_MODULE" for name in found if name[-1:] != b"*"}
        return found

    def find(self, letter: bytes, data: bytes) -> frozenset[bytes]:
        """See plugin.Projection: what a file can mention, by the rules of C or of make."""
        if data[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe"):
            return frozenset()  # programs and libraries: they know nothing of a kernel's options
        if data[:4] == b"gpch":
            return frozenset({_ALL})  # a precompiled header holds what its macros were
        return _in_c(data) if letter == _C else _in_make(data)


def _spread(text: bytes) -> bytes:
    """Words on a command line: what stands behind -D or -U is a name as well."""
    return re.sub(rb"-([DUI])(?=CONFIG)", rb"-\1 ", text)


def option_tables(directories: tuple[bytes, ...]) -> list[tuple[bytes, Config]]:
    """The tables of options in a tree (Makefile, `include/config/auto.conf` and what syncconfig writes beside it)."""
    tables = []
    for name, form in option_text.items():
        config = Config(form)
        tables += [(directory + b"/" + name, config) for directory in dict.fromkeys(directories)]
    return tables
