"""Courses are kept: what the makes of a composite asked for and looked at, so that it can be gone through again."""

from array import array
from collections.abc import Callable

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import Asked, Below, Running
from hashmake.model.course import Call, Course
from hashmake.model.kinds import READ
from hashmake.model.result import COMPOSITE, PLACED, RECIPE, ROOT, SAYS, Result
from hashmake.model.tables import FactId

ALL, _UNKNOWN, ONE_BY_ONE = b".", b"?", b"1"  # see Account.decides


def said(kind: bytes, cwd: bytes, argv: list[bytes], block: bytes) -> bytes:
    """A step as make asked for it, as one text: it is run without make only if this was sealed."""
    return b"\0".join([kind, cwd, b"%d" % len(argv), *argv, block])


class Courses:
    """See the module's text.

    words       make's own, where the goal's course is kept
    incomplete  make asked for a step of which nothing is recorded now: nothing is kept of this build
    """

    def __init__(self, evaluation: Evaluation, sealed: Callable[[bytes], bytes] | None) -> None:
        """`sealed` None: nobody could tell later on whose words these were, and nothing is kept."""
        self.words: list[bytes] = []
        self.incomplete = False
        self._evaluation = evaluation
        self.sealed = sealed

    def keep(self, running: Running, result: Result, looks: list[FactId]) -> None:
        """A composite has ended; only one that is nothing but makes and was seen in full can be gone through again."""
        recording = self._evaluation.recording
        if self.sealed is None or not self._can_be(running, result):
            recording.no_course(result.id)
            return
        account, tables = running.account, self._evaluation.tree.tables
        course = Course(recording.env_blocks.number(running.environment.block))
        course.facts = array("I", sorted(account.facts))
        course.looks = array("I", sorted(set(looks)))
        course.reread = array("I", sorted(account.reread))
        decides = (tables.path(path) for path in account.decides if path[:1] == b"/")
        course.decides = array("I", sorted({self._evaluation.tree.fact_now(READ, pid) for pid in decides}))
        course.serial = ONE_BY_ONE in account.decides
        course.names = sorted(account.names)
        course.goal = account.goal
        course.words = self.words if running.kind == ROOT else []
        numbers: dict[tuple[int, int], int] = {}
        for event in running.events:
            if isinstance(event, Below) and event.asked is not None:
                course.calls.append(self._call(event.result, event.asked, numbers))
        recording.learn_course(result.id, course)

    def _can_be(self, running: Running, result: Result) -> bool:
        account = running.account
        if (
            self.incomplete
            or running.kind not in (RECIPE, ROOT)
            or result.code
            or result.flags & ~(PLACED | SAYS) != COMPOSITE
        ):
            return False
        if account.outs or running.captured or account.unseen or account.said:
            return False
        if ALL not in account.decides or _UNKNOWN in account.decides:
            return False
        return all(isinstance(event, Below) and event.asked is not None for event in running.events)

    def _call(self, result: Result, asked: Asked, numbers: dict[tuple[int, int], int]) -> Call:
        argv, environment, line = asked
        cwd = self._evaluation.tree.tables.paths[result.cwd]
        block = self._evaluation.recording.env_blocks.number(environment.block)
        recipe, later, echo = 0, False, b""
        if line is not None:
            recipe, later, echo = numbers.setdefault(line.recipe, len(numbers) + 1), line.later, line.echo
        words = [] if argv == result.argv else argv
        seal = self.sealed(said(result.kind, cwd, argv, environment.block)) if self.sealed is not None else b""
        return Call(result.id, block, recipe, later, echo, words, seal)
