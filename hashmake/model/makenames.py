"""Which variables of the environment the text of a makefile can name. Pure.

GNU make turns the whole environment into variables, but a makefile sees only those that it names: in a reference, in
a function that takes a name (origin, flavor, value, call), in a directive (ifdef, export ...) or on the left of an
assignment, where `?=` and `+=` go by what there was (manual, "Variables from the Environment"). A name may be computed:
`$(FOO_$(x))` can be any that begins with FOO_; where no part of it is fixed, it can be any at all.

A set of names is a frozenset of NAME, `PREFIX*MIDDLE*SUFFIX` for computed ones, and EVERY.
"""

import re
from collections.abc import Iterable

from hashmake.model.names import EVERY, Names

_ALL: Names = frozenset({EVERY})

_PIECE = b"\2"  # stands in a text for a reference whose value is not known
_STARS = re.compile(rb"\*+")
_SINGLE = re.compile(rb"\$([^({$])")
_INNERMOST = re.compile(rb"\$(?:\(([^$(){}]*)\)|\{([^$(){}]*)\})")
_BRACKETS = re.compile(rb"(?<!\$)[({]([^$(){}]*)[)}]")
_FIXED = re.compile(rb"[A-Za-z0-9_]*\Z")
_FUNCTION = re.compile(rb"\s*([a-z-]+)[ \t]+")
_FUNCTIONS = frozenset(
    b"subst patsubst strip findstring filter filter-out sort word wordlist words firstword lastword dir notdir suffix"
    b" basename addsuffix addprefix join wildcard realpath abspath error warning info shell origin flavor foreach if or"
    b" and call eval file value let intcmp guile".split()
)
_TAKE_NAMES = frozenset([b"origin", b"flavor", b"value", b"call"])
_DIRECTIVE = re.compile(
    rb"^[ \t]*(?:(?:else|override|private|[-\w.%/ ]+:)[ \t]+)*"
    rb"(?:ifdef|ifndef|export|unexport|undefine|define)[ \t]+([^\n#]*)",
    re.MULTILINE,
)
_ASSIGNMENT = re.compile(rb"([\w]+)[ \t]*(?:::?:?|[?+!])?=")
_COMPUTED_ASSIGNMENT = re.compile(
    rb"^[ \t]*(?:[^\n=]*:[ \t]*)?(?:(?:override|private|export)[ \t]+)*(\w*\x02[\w\x02]*)[ \t]*(?:::?:?|[?+!])?=",
    re.MULTILINE,
)
# All names there are, other languages, output of commands that is expanded like a makefile's own text.
_BEYOND = re.compile(
    rb"\.VARIABLES|\$[({]guile\b|^[ \t]*-?load[ \t]"
    rb"|^[ \t]*(?:[^\s=:#]+[ \t]*:[ \t]*)?(?:(?:override|private|export)[ \t]+)*[^\s=:#'\"|;&!]+[ \t]*!=",
    re.MULTILINE,
)
_EVALUATES = re.compile(rb"\$[({]eval\b")
_FROM_ELSEWHERE = re.compile(rb"\$[({](?:shell|file)\b")
_WORD = re.compile(rb"[A-Za-z_]\w*")
_COMMENT = re.compile(rb"^[ \t]*#[^\n]*", re.MULTILINE)


def names_in(text: bytes) -> Names:
    """Names of environment variables that make can look up for this text."""
    if text.startswith(b"\x7fELF"):
        return frozenset()  # an object that make has loaded: what it asks for with getenv is told
    if b"\0" in text:
        return _ALL
    text = text.replace(b"\\\n", b" ")
    if _BEYOND.search(text) or (_EVALUATES.search(text) and _FROM_ELSEWHERE.search(text)):
        return _ALL
    found = _named_in(text)
    return _ALL if EVERY in found else frozenset(found)


def words_in(text: bytes) -> tuple[Names, Names]:
    """As names_in, where a name that is computed altogether is known to be a word of such texts.

    The names that are spelt or computed in part; all words, those names among them.
    """
    text = text.replace(b"\\\n", b" ")
    found = frozenset(_named_in(text) - {EVERY})
    return found, found.union(_WORD.findall(_COMMENT.sub(b"", text)))


def _named_in(text: bytes) -> set[bytes]:
    found: set[bytes] = set()
    if b"$" in text:
        text = _take_references(text, found)
    found.update(_set_by(text))
    found.discard(b"")
    return found


def _set_by(text: bytes) -> set[bytes]:
    """The names that directives and assignments in a text are about, in which pieces stand for references."""
    found = set(_ASSIGNMENT.findall(text))
    for words in _DIRECTIVE.findall(text):
        found.update(_pattern(word) for word in re.split(rb"[ \t]+", words.split(b"=")[0]) if word)
    if _PIECE in text:
        found.update(_pattern(word) for word in _COMPUTED_ASSIGNMENT.findall(text))
    return found


def _take_references(text: bytes, found: set[bytes]) -> bytes:
    """The text with a piece in the place of each reference; what they are about is added to `found`.

    From the inside out: what remains of an inner one is a piece of the name of the outer one.
    """
    text = text.replace(b"$$", b"$")  # escaped it is a reference where the text is evaluated once more
    found.update(map(_pattern, _SINGLE.findall(text)))
    text = _SINGLE.sub(_PIECE, text)
    while b"$" in text:
        for one, other in set(_INNERMOST.findall(text)):
            found.update(_named_by(one or other))
        text, inside = _INNERMOST.subn(_PIECE, text)
        if not inside:
            # Brackets that are text stand inside a reference, or one is never closed.
            text, brackets = _BRACKETS.subn(rb"\1", text)
            if not brackets:
                found.update(_pattern(rest[1:].split()[0]) for rest in text.split(b"$")[1:] if rest[1:].split())
                return text
    return text


def _named_by(inner: bytes) -> Iterable[bytes]:
    """The names that the inside of a reference can be about: one, or none where it is a function without names."""
    function = _FUNCTION.match(inner)
    if function and function[1] in _FUNCTIONS:
        if function[1] == b"eval":
            return _set_by(inner[function.end() :])
        if function[1] not in _TAKE_NAMES:
            return []
        inner = inner[function.end() :].partition(b",")[0]
    return [_pattern(inner.partition(b":")[0].strip())]


def _pattern(name: bytes) -> bytes:
    """A name as it is, or what is fixed of a computed one, with stars between; empty: of no variable."""
    if not _FIXED.match(name.replace(_PIECE, b"")):
        return b""
    return _STARS.sub(EVERY, name.replace(_PIECE, EVERY))
