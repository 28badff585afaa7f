"""The makefiles of the tests in memory: a step in a line.

    NAME = OUT OUT+ : WORD WORD ...

NAME is what a test calls the step, by default the first OUT. OUT+ is appended to; `()` in its place: it makes no file.
Its words are what it does, in this order, before it writes:

    a.h             reads it, and fails when it is not there
    ?a.h            looks for it, and reads it when it is there
    first(a.h)      reads it, but only its first word counts
    $(CC)           looks a variable up
    which(cc)       searches a program along PATH, and reads it
    ls(DIR)         lists a directory (`.`: the tree)
    stat(a) access(a) readlink(a) host(uname)
    rm(a) touch(a) chmod(a) mkdir(d) tmp(a) mv(a,b) mvdir(d,e) ln(a,b) symlink(a,b)
    fail            ends with status 2
    unseen(WHY)     can't be followed

What an OUT holds afterwards follows from what was read. `shell NAME: ...` is $(shell ...), `make NAME: ...` a make with
the steps that stand below it, further to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hashmake.model.result import RECIPE, SHELL


@dataclass
class Step:
    """One line. `does`: verb and operand of each word; `makefile`: what its make reads, of a step with `below`."""

    name: str
    line: str
    kind: bytes = RECIPE
    make: bool = False
    outs: list[str] = field(default_factory=list)
    does: list[tuple[str, str]] = field(default_factory=list)
    below: list[Step] = field(default_factory=list)

    @property
    def argv(self) -> list[bytes]:
        """Its command: program, then the arguments with its name in front."""
        if self.make:
            return [b"/bin/make", b"make", b"-f", self.makefile.encode()]
        return [b"/bin/sh", b"sh", b"-c", self.line.encode()]

    @property
    def makefile(self) -> str:
        """Where its make finds the steps below."""
        return f"{self.name}.mk"

    def text(self) -> str:
        """What that makefile says."""
        return "".join(f"{step.line}\n" for step in self.below)


def _verb(word: str) -> tuple[str, str]:
    if word.startswith("?"):
        return "look", word[1:]
    if word.startswith("$("):
        return "getenv", word[2:-1]
    verb, _, operand = word.removesuffix(")").partition("(")
    if operand or word == "fail":
        return verb, operand
    return "read", word


def _step(line: str) -> Step:
    head, _, words = line.partition(":")
    kind, make = RECIPE, False
    if head.startswith(("shell ", "make ")):
        word, _, head = head.partition(" ")
        kind, make = (SHELL, False) if word == "shell" else (RECIPE, True)
        head += " = ()"
    name, equals, outs = head.partition("=")
    step = Step(name.strip() if equals else head.split()[0], line, kind, make)
    step.outs = [out for out in (outs if equals else head).split() if out != "()"]
    step.does = [_verb(word) for word in words.split()]
    return step


def parse(text: str) -> Step:
    """The make that goes by this text."""
    root = Step("Makefile", "", make=True)
    makes = [(-1, root)]
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        while indent <= makes[-1][0]:
            makes.pop()
        step = _step(line.strip())
        makes[-1][1].below.append(step)
        if step.make:
            makes.append((indent, step))
    return root


def every(step: Step) -> list[Step]:
    """It and all that lie below."""
    return [step, *(s for below in step.below for s in every(below))]
