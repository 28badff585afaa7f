"""The account of a running step: what it has done so far, as facts and outputs."""

from hashmake.judge.tree import Tree
from hashmake.model.tables import FactId, PathId, ValueId


class Account:
    """What one running step has done so far.

    facts    what held when it started
    replaces what it makes does not depend on what its products were before: a mere look at them is no input
    outs     path -> (version before, version now), in the order of the last write
    fresh    each write as it was taken in: path, version before it, version after it
    since    the tree's moment at which the step started; started_ns: the same by the clock
    looks    paths that a make process looked at: existence counts, content only if nothing below reads it
    wrote    all paths that it wrote, removed or touched
    readers  who read a table whose entries count one by one: the path, then program and arguments, joined by 1
    reread   paths that it, or a step below it, made, and that it read then: no inputs, but what they mention counts
    before   what files held that it was about to change, as far as nobody knew
    anew     products that were put out of its sight, for it to make them from nothing once more
    names    environment variables looked up (variables.WHOLE: all)
    knows    facts about the host that its shells know of themselves, and that count if they are named
    lists    listings that have begun: directory -> paths that they gave; b"" when one came to its end
    intermediates  paths that a make process took away itself
    unseen   why it can't be followed, "" if it can
    decides  paths by whose time a make process decided; b".": all are told, b"?": they can't be,
             b"1": its steps run one by one
    said     a make process printed something of its own
    placed   what it does may go by where the tree lies
    make     a make process came up in it; goal: what it makes when no goal is named
    """

    __slots__ = (
        "anew",
        "before",
        "decides",
        "facts",
        "fresh",
        "goal",
        "intermediates",
        "knows",
        "lists",
        "looks",
        "make",
        "names",
        "outs",
        "placed",
        "readers",
        "replaces",
        "reread",
        "said",
        "shell",
        "since",
        "started_ns",
        "unseen",
        "wrote",
    )

    def __init__(self, since: int, started_ns: int) -> None:
        self.since = since
        self.started_ns = started_ns
        self.facts: set[FactId] = set()
        self.outs: dict[PathId, tuple[ValueId, ValueId]] = {}
        self.fresh: list[tuple[PathId, ValueId, ValueId]] = []
        self.looks: set[PathId] = set()
        self.readers: set[bytes] = set()
        self.reread: set[PathId] = set()
        self.anew: set[PathId] = set()
        self.before: dict[bytes, bytes] = {}
        self.names: set[bytes] = set()
        self.knows: set[bytes] = set()
        self.decides: set[bytes] = set()
        self.intermediates: set[bytes] = set()
        self.unseen = b""
        self.goal = b""
        self.wrote: set[bytes] = set()
        self.make = False
        self.placed = False
        self.said = False
        self.replaces = False
        self.shell = False
        self.lists: dict[bytes, list[bytes]] = {}

    def internal(self, tree: Tree, pid: PathId) -> bool:
        """Whether this step, or one below it, made pid."""
        return pid in self.outs or (tree.made_at.get(pid, 0) > self.since and self.make)
