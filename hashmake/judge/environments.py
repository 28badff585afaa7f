"""The environments of one build's steps, and what a step that ended depends on of its own."""

from hashmake.judge.account import Account
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.lookups import Lookups
from hashmake.judge.nameable import MakeNames
from hashmake.judge.running import Running
from hashmake.model.environment import Environment
from hashmake.model.names import EVERY, Names, pack
from hashmake.model.result import ROOT, Result
from hashmake.model.variables import LIBC_READS, SHELL_READS, WHOLE

EVERY_NAME: Names = frozenset({EVERY})


class Environments:
    """See the module's text.

    root_names  names of the variables that the goal's makes and steps can name, once it has ended
    """

    def __init__(self, evaluation: Evaluation, lookups: Lookups, library: bytes) -> None:
        """`library`: the interposer, as LD_PRELOAD names it."""
        self.root_names: Names = EVERY_NAME
        self._evaluation = evaluation
        self._lookups = lookups
        self._library = library
        self._names = MakeNames(evaluation.recording, evaluation.tree, evaluation.disk)
        self._known: dict[bytes, Environment] = {}

    def of(self, block: bytes) -> Environment:
        """The environment of this NUL-joined block, parsed once."""
        found = self._known.get(block)
        if found is None:
            meaningless = self._evaluation.plugin.meaningless
            found = Environment(len(self._known), block.split(b"\0"), self._library, meaningless)
            self._known[block] = found
        return found

    def learn(self, running: Running, result: Result) -> None:
        """Note in the result of a step what it depends on of its environment."""
        environment, account, recording = running.environment, running.account, self._evaluation.recording
        names = account.names
        if account.make and running.kind != ROOT and account.shell:
            names |= SHELL_READS
        if running.kind == ROOT:
            self.root_names = self._nameable(account, result)
        elif account.make:
            named = self._nameable(account, result)
            result.env = recording.env_sets.number(self._facts_of_make(environment, named, running.cwd))
        else:
            if account.shell:
                names |= SHELL_READS
            names |= LIBC_READS
            path = environment.variables.get(b"PATH", b"")
            searched = self._lookups.searched(account.facts, path) if WHOLE not in names else []
            result.env = recording.env_sets.number(environment.facts(names, running.cwd, searched))
        result.full_env = recording.env_blocks.number(environment.block)

    def _nameable(self, account: Account, result: Result) -> Names:
        return EVERY_NAME if self._evaluation.plugin.names_any else self._names.of(account, result)

    def _facts_of_make(self, environment: Environment, names: Names, cwd: bytes) -> bytes:
        """As Environment.facts, for a step that depends on all variables that a make in it can name.

        Their digest stands behind the number of the set of names.
        """
        if EVERY in names:
            return environment.facts({WHOLE}, cwd)
        packed = pack(names)
        return (
            b"\2%d=" % self._evaluation.recording.env_sets.number(packed)
            + environment.chosen(packed, cwd).hex().encode()
        )
