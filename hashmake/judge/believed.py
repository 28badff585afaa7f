"""Records that were believed in this build."""

from hashmake.model.environment import Environment
from hashmake.model.result import COMPOSITE, Result, ResultId


class Believed:
    """See the module's text.

    asked  what make itself asked for, and for which a record was believed: a command is run again only in these words
           and with this environment, never in those of a record
    makes  the composites among them: what lies below was not asked for
    """

    def __init__(self) -> None:
        self.asked: dict[ResultId, tuple[list[bytes], Environment]] = {}
        self.makes: list[Result] = []

    def add(self, result: Result, argv: list[bytes], environment: Environment) -> None:
        """A step is current."""
        self.asked[result.id] = (argv, environment)
        if result.flags & COMPOSITE:
            self.makes.append(result)
