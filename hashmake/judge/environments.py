"""Which variables of its environment a step depends on, and whether they are as they were when it ran.

envfacts.py says how that is written down.
"""

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.lookups import Lookups
from hashmake.judge.nameable import MakeNames
from hashmake.judge.reason import Reason
from hashmake.judge.running import Running
from hashmake.model import envfacts
from hashmake.model.environment import Environment, searchable
from hashmake.model.names import EVERY, WORDS, Names, pack, unpack
from hashmake.model.result import ROOT, Result
from hashmake.model.selection import Selection
from hashmake.model.tables import FactId
from hashmake.model.variables import LIBC_READS, SHELL_READS, WHOLE

EVERY_NAME: Names = frozenset({EVERY})
_SEARCHED: Names = frozenset({b"PATH"})  # where it is only searched along, its value says nothing


class Environments:
    """The environments of one build.

    root_names  names of the variables that the goal's makes and steps can name, once it has ended
    """

    def __init__(self, evaluation: Evaluation, lookups: Lookups, library: bytes) -> None:
        """`library`: the interposer, as LD_PRELOAD names it."""
        self.root_names: Names = EVERY_NAME
        self._recording = evaluation.recording
        self._plugin = evaluation.plugin
        self._library = library
        self._lookups = lookups
        self._names = MakeNames(evaluation.recording, evaluation.tree, evaluation.disk, evaluation.plugin)
        self._environments: dict[bytes, Environment] = {}
        self._holds: dict[tuple[int, int, bytes], bytes | None] = {}
        self._selections: dict[tuple[bytes, Names], Selection] = {}

    def of(self, block: bytes) -> Environment:
        """The environment of this NUL-joined block, parsed once."""
        found = self._environments.get(block)
        if found is None:
            number, strings = len(self._environments), block.split(b"\0")
            found = Environment(number, strings, self._library, self._plugin.meaningless)
            self._environments[block] = found
        return found

    def learn(self, running: Running, result: Result) -> None:
        """Put into the result of a step that ended what it depends on."""
        environment, account = running.environment, running.account
        names = account.names
        if account.shell and running.kind != ROOT:
            names |= SHELL_READS
        if running.kind == ROOT:
            self.root_names = self._names.spelt(self._names.of(account, result))
        elif account.make:
            text = self._facts_of_make(environment, self._names.of(account, result), running.cwd, result)
            result.env = self._recording.env_sets.number(text)
        else:
            names |= LIBC_READS
            path = environment.variables.get(b"PATH", b"")
            searched = self._lookups.searched(account.facts, path) if WHOLE not in names else []
            result.env = self._recording.env_sets.number(environment.facts(names, running.cwd, searched))
        result.full_env = self._recording.env_blocks.number(environment.block)

    def _facts_of_make(self, environment: Environment, names: Names, cwd: bytes, result: Result) -> bytes:
        if EVERY in names:
            return environment.facts({WHOLE}, cwd)
        path = environment.variables.get(b"PATH")
        searched, besides = b"", frozenset[bytes]()
        if path is not None and b"PATH" not in names and searchable(path):
            searched, besides = b"\1".join([b"", path, *self._lookups.searched(result.facts, path)]), _SEARCHED
        packed = pack(names)
        number = self._recording.env_sets.number(packed)
        return envfacts.joined(searched, number, self._chosen(environment, packed, cwd, besides))

    # -- judging --------------------------------------------------------------------------------------------------

    def judge(self, candidate: Result, environment: Environment, cwd: bytes) -> Reason | None:
        """Why a recorded step is not current in this environment; None: no variable speaks against it."""
        if not candidate.env:
            return None
        known = candidate.full_env  # 0: another tree ran it
        same = known and self._recording.env_blocks.all[known] == environment.block
        facts = self._recording.env_sets.all[candidate.env]
        if same:  # nearly always, and the rest takes longer than all else that is asked of a make
            reason = None
        elif envfacts.of_make(facts):
            reason = self._judge_make(candidate, facts, environment, cwd)
        else:
            reason = self._judge_plain(candidate, facts, environment, cwd)
        if reason is None and self._leads_elsewhere(facts, environment):
            return self._changed(candidate, environment, b"PATH")
        return reason

    def _judge_plain(self, candidate: Result, facts: bytes, environment: Environment, cwd: bytes) -> Reason | None:
        memo = (candidate.env, environment.id, cwd)
        if memo not in self._holds:
            self._holds[memo] = environment.difference(facts, cwd)
        name = self._holds[memo]
        if name is None:
            return None
        if name == WHOLE:
            return self._changed(candidate, environment, environment.first_changed(self._before(candidate)))
        old = next((f[len(name) + 1 :] for f in facts.split(b"\0") if f.startswith(name + b"=")), b"")
        return Reason("VariableChanged", name, old, environment.variables.get(name, b""))

    def _judge_make(self, candidate: Result, facts: bytes, environment: Environment, cwd: bytes) -> Reason | None:
        number, known = envfacts.of_make(facts) or (0, b"")
        packed = self._recording.env_sets.all[number]
        names = unpack(packed)
        besides = _SEARCHED if facts[:1] == b"\1" else frozenset[bytes]()
        if self._chosen(environment, packed, cwd, besides) != known:
            name = environment.first_changed(self._before(candidate), Selection(names, besides))
            return self._changed(candidate, environment, name)
        if WORDS in names:
            name = self._changed_word(environment, self._before(candidate))
            if name:
                return self._changed(candidate, environment, name)
        return None

    def _chosen(self, environment: Environment, packed: bytes, cwd: bytes, besides: Names) -> bytes:
        """Of the variables that count for a make that can name these: one digest, in hexadecimal."""
        selection = self._selections.get((packed, besides))
        if selection is None:
            selection = self._selections[packed, besides] = Selection(unpack(packed), besides)
        return environment.chosen(selection, cwd).hex().encode()

    def _changed_word(self, environment: Environment, before: Environment) -> bytes:
        """The first variable that differs from an earlier environment and is a word of the makefiles; empty: none."""
        differing = environment.differing(before) - _SEARCHED  # PATH counts where it is named, not as a mere word
        if not differing:
            return b""
        words = self._names.words()
        return next((name for name in sorted(differing) if words.has(name)), b"")

    def _before(self, candidate: Result) -> Environment:
        return self.of(self._recording.env_blocks.all[candidate.full_env])

    def _changed(self, candidate: Result, environment: Environment, name: bytes) -> Reason:
        old, new = (e.variables.get(name, b"") for e in (self._before(candidate), environment))
        return Reason("VariableChanged", name, old, new)

    def _leads_elsewhere(self, facts: bytes, environment: Environment) -> bool:
        """Whether one of the programs that were searched for is another one along PATH as it is now."""
        searches = environment.searches(facts)
        if searches is None:
            return False
        here = environment.variables.get(b"PATH", b"")
        return not (searchable(here) and self._lookups.agree(searches[1], searches[0], here))

    def passed(self, candidate: Result, environment: Environment) -> list[FactId]:
        """A step is current along another PATH than it ran with: the facts about where a search found nothing."""
        searches = environment.searches(self._recording.env_sets.all[candidate.env]) if candidate.env else None
        if searches is None:
            return []
        return self._lookups.passed(searches[1], environment.variables.get(b"PATH", b""))
