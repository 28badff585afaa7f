"""What the command line asks of verify."""

from dataclasses import dataclass, field


@dataclass
class Wanted:
    """What the command line asks for.

    words    make's, None: those of the last build here
    sample   "5%" or a number of steps; seed: None for a new one
    scratch  where to put what is written; copy: no overlay, a copy of the tree
    """

    state_dir: str
    state_given: bool
    words: list[str] | None
    paths: list[str] = field(default_factory=list)
    sample: str | None = None
    seed: int | None = None
    scratch: str | None = None
    copy: bool = False
