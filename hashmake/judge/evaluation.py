"""What all parts of the engine speak about: one evaluation of one goal by make, over one recording."""

from typing import TYPE_CHECKING

from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model.goal import Goal
from hashmake.model.plugin import Plugin
from hashmake.model.recording import Recording
from hashmake.model.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmake.judge.running import Running


class Evaluation:
    """See the module's text.

    places       directories below which an earlier run's leftovers may be removed
    running      the steps that are at work, by number
    making       recipes of which a line has made a file where products lie (Line.recipe)
    began        the tree's moment before the first step
    restart      something was found that only another evaluation can put right
    roles        how many products turned out to be sources
    give_up      tells all processes that another evaluation comes
    interrupted  whether make has been told to end
    """

    def __init__(
        self,
        recording: Recording,
        goal: Goal,
        tree: Tree,
        disk: DiskLike,
        plugin: Plugin,
        places: tuple[bytes, ...] = (),
    ) -> None:
        self.recording = recording
        self.goal = goal
        self.tree = tree
        self.disk = disk
        self.plugin = plugin
        self.places = places
        self.running: dict[int, Running] = {}
        self.making: set[tuple[int, int]] = set()
        self.began = tree.seq
        self.restart = False
        self.roles = 0
        self.give_up: Callable[[], None] = lambda: None
        self.interrupted: Callable[[], bool] = lambda: False

    def lies_inside(self, path: bytes) -> bool:
        """Whether a path lies where products do: what lies elsewhere is nobody's."""
        return any(path.startswith(place + b"/") for place in self.places)

    def line_made(self, recipe: tuple[int, int], result: Result) -> None:
        """A line of a recipe has ended, or need not run: what it left."""
        paths = self.tree.tables.paths
        if any(self.lies_inside(paths[pid]) for pid in result.outs[0::3]):
            self.making.add(recipe)
