"""A step that is running: what was asked, what it has done so far, what lies below it."""

from typing import TYPE_CHECKING

from hashmake.judge.account import Account
from hashmake.judge.world import Trace
from hashmake.model.environment import Environment
from hashmake.model.result import Result
from hashmake.model.tables import PathId, ValueId

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmake.judge.reason import Reason
    from hashmake.model.summary import Summary

Write = tuple[PathId, ValueId, ValueId]  # path, version before, version after


class Below:
    """A step below ended or was skipped.

    writes  what it found and left; for a skipped step what it finds may not be what it found when it ran (a path that
            another goal has made since)
    asked   as make asked for it: the words, the environment, where the line stands
    """

    __slots__ = ("asked", "result", "writes")

    def __init__(self, result: Result, writes: list[Write], asked: "Asked | None" = None) -> None:
        self.result = result
        self.writes = writes
        self.asked = asked


Asked = tuple[list[bytes], Environment, "Line | None"]


# What happened in a composite, in order: a step below, or the composite itself wrote a path.
Event = Below | Write


class Line:
    """Where a recipe line stands, as far as make tells.

    recipe  what all lines of the recipe have in common while it is at work
    later   it is not the first of them that is a command
    echo    how make would have printed it; empty: not at all
    """

    __slots__ = ("echo", "later", "recipe")

    def __init__(self, recipe: tuple[int, int], later: bool, echo: bytes) -> None:
        self.recipe = recipe
        self.later = later
        self.echo = echo


class Restored:
    """A step that need not run: what it once left lies there again.

    first  lines of the same recipe that only print: skipped before, they run now
    """

    __slots__ = ("first", "result")

    def __init__(self, result: Result, first: "list[Running]") -> None:
        self.result = result
        self.first = first


class Pending:
    """Not yet: whether the step has to run is not known before something has arrived (Remote.arrived)."""

    __slots__ = ()


PENDING = Pending()


class Running:
    """See the module's text.

    number  of this build's steps, as in HASHMAKE_STEP
    line    of a recipe; None: that is not known
    reason  why it runs
    last    what its last run came to
    captured  what makes in it print to something else than this build does: somebody will read that (model/printed.py)
    keeps   what it prints and has to be kept: make prints to such a place
    watched  what it prints is kept though nobody reads it: a later build may restore the step (judge/restoring.py)
    times   all its processes see logical times, not only make's
    summary  of its trace, where its launcher made one
    started  when it began, by the monotonic clock, s; cpu_us and peak_kb: what it took (0: not known)
    then    for a step that runs only to bring a version back: what to do when it has ended
    makes   paths that it made the last time
    retried  it has failed once in this build, and runs again because what it had looked for is there now
    first   lines of the same recipe that only print: skipped before this one ran, they run before it now
    echo    what is printed before it, where that is not make's own affair
    """

    __slots__ = (
        "account",
        "argv",
        "captured",
        "cpu_us",
        "cwd",
        "echo",
        "environment",
        "events",
        "first",
        "keeps",
        "key",
        "kind",
        "last",
        "line",
        "makes",
        "number",
        "parent",
        "peak_kb",
        "reason",
        "retried",
        "started",
        "summary",
        "then",
        "times",
        "trace",
        "watched",
    )

    def __init__(
        self,
        number: int,
        key: bytes,
        kind: bytes,
        cwd: bytes,
        argv: list[bytes],
        environment: Environment,
        parent: "Running | None",
        account: Account,
        trace: Trace,
    ) -> None:
        self.number = number
        self.key = key
        self.kind = kind
        self.cwd = cwd
        self.argv = argv
        self.environment = environment
        self.parent = parent
        self.account = account
        self.trace = trace
        self.reason: Reason | None = None
        self.last: Result | None = None
        self.line: Line | None = None
        self.events: list[Event] = []
        self.captured = self.keeps = 0
        self.times = self.retried = self.watched = False
        self.started = 0.0
        self.summary: Summary | None = None
        self.cpu_us = self.peak_kb = 0
        self.first: list[Running] = []
        self.makes: list[bytes] = []
        self.echo = b""
        self.then: Callable[[], None] | None = None
