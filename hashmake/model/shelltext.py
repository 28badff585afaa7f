"""What the text that a shell is given names, and whether it does more than print."""

import re

from hashmake.model.names import Names
from hashmake.model.variables import EXPRESSIONS, HERE, TOKEN, WHOLE

SHELLS: Names = frozenset(b"sh dash bash ksh mksh zsh ash".split())

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
    commands = _commands(argv)
    return bool(commands) and all(words[0] in _TALKERS for words in commands)


def is_idle(argv: list[bytes]) -> bool:
    """Whether a command does nothing that outlasts it, but for what it prints: a shell prepares for what does not come.

    What is left of a command that is empty, in a macro that adds options and traps: three of five lines of a kernel.
    """
    return only_prints(argv) or all(words[0] in _TALKERS or _prepares(words) for words in _commands(argv) or [[b"?"]])


def _prepares(words: list[bytes]) -> bool:
    return words[0] == b"set" or (words[0] == b"trap" and not {b"EXIT", b"0"}.intersection(words))


def _commands(argv: list[bytes]) -> list[list[bytes]]:
    """The words of each command of a shell's text, what is quoted being one; none where it may be more than that."""
    if argv[0].rpartition(b"/")[2] not in SHELLS or len(argv) != 4 or argv[2][:1] != b"-" or b"c" not in argv[2]:
        return []
    text = _QUOTED.sub(b"q", argv[3])
    if any(mark in text for mark in (b"<", b">", b"`", b"$(", b"|", b"&", b"(", b"{")) and not _harmless(text):
        return []
    return [piece.split() for piece in _BETWEEN.split(text) if piece.strip()]


def _harmless(text: bytes) -> bool:
    """Of the marks that may mean a change, only && and || are there, or standard output turned to standard error."""
    rest = re.sub(rb"1?>&2|&&|\|\|", b"", text)
    return not re.search(rb"[<>`|&({]", rest)


_MAKE = re.compile(rb"(?:^|[\s;&|(])(?:\S*/)?g?make(?:\s|$)")


def calls_make(argv: list[bytes]) -> bool:
    """Whether a command looks as if it started make: program, then its arguments with its name in front."""
    named = argv[0].rpartition(b"/")[2] in (b"make", b"gmake")
    return named or (b"make" in argv[-1] and _MAKE.search(argv[-1]) is not None)


# ---- which variables a shell text can use -------------------------------------------------------------------------

_REFERENCE = re.compile(rb"\$\{?#?([A-Za-z_][A-Za-z0-9_]*)")
_END = rb"\s*(?:$|[;&|)}`\n#<>]|\d[<>])"


_Patterns = tuple[tuple[bytes, bytes], ...]


def _each(*patterns: tuple[bytes, bytes]) -> _Patterns:
    """Patterns with what a text must hold for each: most texts hold none, and are long; most are never compiled."""
    return patterns


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

# What does not count where only what stands outside of quotes does: comments, and what single quotes hold. Where the
# end of a quotation might be misjudged nothing matches, and the text counts as it is; so does one that runs again.
_PLAIN = re.compile(
    rb"(?P<comment>(?<![^\s;&|()])#[^\n]*)|(?P<quoted>'[^']*')|(?:\\.|\"(?:[^\"\\`$]|\\.|\$(?![({])|\$\{\w+\})*\"|<(?!<)|\$(?!')|[^\\'\"`<#$]+|#)",
    re.DOTALL,
)
_RUN_AGAIN = re.compile(rb"\b(?:trap|alias|mapfile|readarray|PS4)\b")


def _unquoted(text: bytes) -> bytes:
    """A text without its comments and what is in single quotes, where that can be told for sure; else as it is."""
    if _RUN_AGAIN.search(text):
        return text
    out, at = [], 0
    for found in _PLAIN.finditer(text):
        if found.start() != at:
            return text
        at = found.end()
        out.append(b"#" if found["comment"] else b"''" if found["quoted"] else found[0])
    return b"".join(out) if at == len(text) else text


# Whether a file is one's own.
_OWNED = _each(*((b" -" + c, rb"(?:test|\[)[^;&|\n]*\s-" + c + rb"\s") for c in (b"O", b"G")))
_PLACE = _each((b"pwd", rb"(?<![\w-])pwd(?![\w-])"), (b"PWD", rb"\b(?:OLD)?PWD\b"), (b"DIRSTACK", rb"DIRSTACK"))
# Commands that make something of a path that they are given, in which the path itself is not found any more.
_MEASURES = re.compile(
    rb"(?:^|[;|&(`\n]|\b(?:then|do|else|if|xargs|exec)\s)\s*(?:!\s+)?(?:[A-Za-z_]\w*=\S*\s+)*(?:[\w./-]*/)?"
    rb"(?:(?:base|dir)name|realpath|readlink|md5sum|sha\d+sum|b2sum|cksum|sum|wc|cut|tr|sed|[gm]?awk|expr|od|xxd|base64|rev|fold|head|tail)"
    rb"(?=[\s;|&)<>`]|$)|\$\{\w+[#%/^,:]|\$\{#"
)


def measures(argv: list[bytes], answers: bool) -> bool:
    """Whether a command may make something of a path that it is given: a part of it, its length, a digest.

    answers  what it prints is what it is there for: else a program prints for people only, and a shell into files
    """
    text = argv[-1] if argv[0].rpartition(b"/")[2] in SHELLS else b" ".join(argv[1:]) if answers else b""
    return _MEASURES.search(text) is not None


def _any(patterns: _Patterns, text: bytes) -> bool:
    return any(guard in text and re.search(pattern, text, re.MULTILINE) for guard, pattern in patterns)


def variables_in(text: bytes) -> set[bytes]:
    """Names of variables that a shell running this text can look up, EXPRESSIONS; WHOLE when they can't be told.

    HERE, where it can make something of the path of the directory that it is in.

    Not among them: SHELL_READS, which every shell can.
    """
    text = text.replace(b"\\\n", b" ")
    plain = _unquoted(text) if b"'" in text or b"#" in text else text
    if _any(_COMPUTED, plain) or _any(_TELLS_ALL, _COMMENT.sub(b"", plain) if b"#" in plain else plain):
        return {WHOLE, HERE} if _any(_PLACE, text) else {WHOLE}
    names = set(_REFERENCE.findall(text))
    if _any(_PLACE, text):
        names.add(HERE)
    if _any(_HOME, plain):
        names.add(b"HOME")
    if _any(_OWNED, text):
        names.add(b"EUID")
    if _any(_ARITHMETIC, plain):
        names.update(TOKEN.findall(text))
        names.add(EXPRESSIONS)
    return names
