"""Recipes that are being gone through: lines that only print are seen where another line of their recipe runs."""

from hashmake.judge.believed import Believed
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.reason import PRINTS
from hashmake.judge.running import Line, Running
from hashmake.judge.starting import Starter
from hashmake.model.environment import Environment
from hashmake.model.result import COMPOSITE, RECIPE, Result
from hashmake.model.shelltext import is_idle, only_prints

_Skipped = tuple[Result, Environment, bytes]  # ... and how make would have printed the line


class Recipes:
    """See the module's text."""

    def __init__(self, evaluation: Evaluation, believed: Believed, starter: Starter) -> None:
        self._evaluation = evaluation
        self._believed = believed
        self._starter = starter
        self._quiet: dict[tuple[int, int], list[_Skipped]] = {}  # lines that only print, as yet skipped
        self._at_work: set[tuple[int, int]] = set()  # recipes of which a line ran

    def begin(self, line: Line) -> None:
        """Make asks for the first line of a recipe."""
        self._quiet.pop(line.recipe, None)
        self._at_work.discard(line.recipe)
        self._evaluation.making.discard(line.recipe)

    def is_needless(self, candidate: Result, line: Line | None) -> bool:
        """Whether a current line need not run even where a clean build would run it: nobody could tell the difference.

        It left nothing and printed nothing. But such a line may stop a service, load a module: what a recipe does that
        makes no files is done for some effect. Where it makes files, it is these that it looks at.
        """
        return candidate.silent() and (
            is_idle(candidate.argv) or (line is not None and line.recipe in self._evaluation.making)
        )

    def skipped(self, line: Line, result: Result, environment: Environment) -> None:
        """A line is current."""
        if _only_prints(result):
            self._quiet.setdefault(line.recipe, []).append((result, environment, line.echo))

    def runs(self, line: Line) -> list[Running]:
        """A line of a recipe runs: those before it that only print are started now, to be seen."""
        self._at_work.add(line.recipe)
        return [self._print_now(*each) for each in self._quiet.pop(line.recipe, [])]

    def joins(self, candidate: Result, line: Line) -> bool:
        """Whether a line that only prints belongs to a recipe of which another line has run."""
        return line.recipe in self._at_work and _only_prints(candidate)

    def _print_now(self, result: Result, environment: Environment, echo: bytes) -> Running:
        argv = self._believed.asked[result.id][0]
        cwd = self._evaluation.tree.tables.paths[result.cwd]
        running = self._starter.start(result.kind, result.key, cwd, argv, environment, None)
        running.reason = PRINTS
        running.echo = echo
        return running


def _only_prints(result: Result) -> bool:
    """Whether all that a recipe line does is to print, or to look at something and to fail."""
    made = result.outs or result.flags & COMPOSITE
    return result.kind == RECIPE and not made and not result.silent() and only_prints(result.argv)
