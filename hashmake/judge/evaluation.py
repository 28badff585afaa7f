"""What all parts of the engine speak about: one evaluation of one goal by make, over one recording."""

from typing import TYPE_CHECKING

from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model.goal import Goal
from hashmake.model.plugin import Plugin
from hashmake.model.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmake.judge.running import Running


class Evaluation:
    """See the module's text.

    places       directories below which an earlier run's leftovers may be removed
    running      the steps that are at work, by number
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
        self.began = tree.seq
        self.restart = False
        self.roles = 0
        self.give_up: Callable[[], None] = lambda: None
        self.interrupted: Callable[[], bool] = lambda: False
