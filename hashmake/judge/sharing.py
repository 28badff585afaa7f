"""What trees tell each other of their steps: a step that another tree has run, in the same circumstances, is not run.

A step is asked for by its command, with the roots of the tree taken out (model/roots.py). The store has, for a command,
the sets of paths that runs of it have looked at; what these hold in this tree, at this moment, names the result. What
is found so is judged like a record of this tree's own, and becomes one.
"""

from array import array
from collections.abc import Callable, Collection, Iterator

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import PENDING, Pending
from hashmake.judge.world import Remote, Store, Told
from hashmake.model import digest, envfacts, shared
from hashmake.model.environment import Environment
from hashmake.model.kinds import ABSENT, EXISTS, LSTAT, NAME, NEVER, READ
from hashmake.model.result import COMPOSITE, ELSEWHERE, KEPT, PLACED, SHELL, Result
from hashmake.model.roots import Roots
from hashmake.model.shared import MOVED, Left, Questions, Seen
from hashmake.model.shelltext import measures
from hashmake.model.tables import NO_VALUE, FactId, PathId
from hashmake.model.variables import WHOLE

_ALL = WHOLE + b"="  # a digest of all variables
_64_BITS = (1 << 64) - 1
_UNKNOWN = FactId(-1)  # no fact
_MOST = 16  # sets of paths that are tried
# Programs that tell the time, or how many processors there are, and the like.
_OF_THE_MOMENT = frozenset(b"date nproc uptime free ps who df uuidgen".split())
_HIDES = (b" -gz", b"compress-debug-sections")  # compilers' options: names of directories are packed


class Sharing:
    """See the module's text. `store` None: nobody is told, nobody asked.

    alone  other machines are not asked at the moment
    """

    def __init__(
        self,
        evaluation: Evaluation,
        store: Store | None,
        roots: Roots | None,
        environment_of: Callable[[bytes], Environment],
        remote: Remote | None = None,
    ) -> None:
        """`remote`: other machines; None: there are none."""
        self.alone = False
        self._remote = remote if roots is not None and roots.usable and store is not None else None
        self._salt = self._remote.salt if self._remote is not None else b""
        self._sums: dict[int, bytes] = {}  # of facts: what other machines know their values by
        self._tools: dict[int, int] = {}  # the same, as a number; 0 where the path lies in a tree
        self._store = store if roots is not None and roots.usable else None
        self._roots = roots or Roots(b"", b"")
        self._evaluation = evaluation
        self._environment_of = environment_of
        self._whole: dict[tuple[int, bytes], bytes] = {}  # environments, by number and directory
        self._hidden_envs: dict[bytes, bytes] = {}
        self._shown_envs: dict[tuple[bytes, int], bytes | None] = {}
        self._questions: dict[int, bytes] = {}  # of facts, packed
        self._values: dict[int, bytes] = {}
        self._answered: dict[bytes, FactId] = {}  # questions about one path; right while the fact holds
        self._twofold: set[bytes] = set()  # questions that may be about two
        self._for_nobody: set[int] = set()  # facts
        self._above: dict[int, bytes] = {}  # facts: a directory that a root lies in is one
        self._told: set[bytes] = set()
        self._waiting: list[Result] = []
        names = self._roots.names
        self._places = [[], *([name] for name in names), *([names] if len(names) > 1 else [])]

    # -- telling --------------------------------------------------------------------------------------------------

    def add(self, result: Result) -> None:
        """A step has ended; whether what it read stayed as it was is not known yet."""
        whole = result.modes or result.silent() or result.answers()
        if self._store is not None and whole and not result.flags & COMPOSITE:
            self._waiting.append(result)

    def pass_on(self, result: Result) -> None:
        """The store of this machine had it: other machines may not know it yet."""
        if self._remote is not None and self._remote.writes:
            self.add(result)

    def tell(self) -> None:
        """What the last steps read has not changed since (Unsaved.settle), where no fact says so: others may know."""
        kinds = self._evaluation.tree.tables.fact_kind
        for result in self._waiting:
            if self._store is not None and not any(kinds[fid] == NEVER for fid in result.facts):
                self._tell(self._store, result)
        self._waiting = []

    def _tell(self, store: Store, result: Result) -> None:
        said = self._said(result.kind, self._evaluation.tree.tables.paths[result.cwd], result.argv)
        facts = self._to_be_told(result.facts, said)
        if facts is None:
            return
        known = self._questions
        order = sorted(facts, key=known.__getitem__)
        asked = b"\0".join(map(known.__getitem__, order))
        env = self._env_in(result)
        name = digest.of_bytes(shared.pack([env]) + asked)
        step = digest.of_bytes(said + self._salt)
        if step + name not in self._told:
            self._told.add(step + name)
            store.note(b"steps", step, name, lambda: Questions.packed(env, asked))
        answers = b"".join(map(self._values.__getitem__, order))
        where = self._where(store, result)
        result_name = self._name_of_result(step, name, answers, where)
        store.note(b"results", result_name, b"", lambda: self._left(store, result).pack())
        if self._remote is not None:
            answered = self._answers_afar(self._remote, order, where)
            if answered is not None:
                left = self._left(store, result)
                self._remote.tell(
                    _told(said, self._hidden(env), asked, [self._roots.path_in(w) for w in where], answered, left)
                )

    def _to_be_told(self, facts: Collection[int], said: bytes) -> Collection[int] | None:
        """The facts of a step (`said`) that others have to compare; None: it is told to nobody.

        That what a root lies in is a directory, and no link, goes without saying: so it is with every tree, and whoever
        finds out where it is looks at each. But a command may name such a directory for itself.
        """
        known = self._questions
        for fid in facts:
            if fid not in known:
                self._look_into(fid)
        if not self._for_nobody.isdisjoint(facts):
            return None
        above = self._above
        if above.keys().isdisjoint(facts):
            return facts
        return [fid for fid in facts if fid not in above or above[fid] in said]

    def _look_into(self, fid: int) -> None:
        tables = self._evaluation.tree.tables
        path, kind = tables.paths[tables.fact_path[fid]], tables.fact_kind[fid]
        self._questions[fid], self._values[fid] = self._question(fid), self._value(fid)
        if self._is_for_nobody(fid):
            self._for_nobody.add(fid)
        plain = kind == LSTAT and tables.values[tables.fact_value[fid]] == digest.DIRECTORY
        if plain and self._roots.above(path):
            self._above[fid] = path

    def _env_in(self, result: Result) -> bytes:
        """What it depends on in its environment, as all trees say it."""
        recording = self._evaluation.recording
        env = recording.env_sets.all[result.env]
        if not env.startswith(_ALL):
            return self._roots.text_in(env)
        environment = self._environment_of(recording.env_blocks.all[result.full_env])
        return _ALL + self._whole_in(environment, recording.tables.paths[result.cwd])

    def _env_out(self, env: bytes, environment: Environment, cwd: bytes) -> bytes | None:
        """The inverse, for a step that is asked for in this environment; None: it is another one."""
        if not env.startswith(_ALL):
            return self._roots.text_out(env)
        same = env[len(_ALL) :] == self._whole_in(environment, cwd)
        return _ALL + environment.whole(cwd) if same else None

    def _hidden(self, env: bytes) -> bytes:
        """The same, for other machines: the values of variables are nobody's business."""
        found = self._hidden_envs.get(env)
        if found is None:
            found = self._hidden_envs[env] = envfacts.hidden(env, shared.sum256)
        return found

    def _shown(self, env: bytes, environment: Environment) -> bytes | None:
        """The inverse, for a step that is asked for in this environment; None: it is another one."""
        known = self._shown_envs.get((env, environment.id), env)
        if known is env:

            def said(name: bytes) -> bytes | None:
                value = environment.variables.get(name)
                return None if value is None else self._roots.text_in(name + b"=" + value)

            known = self._shown_envs[env, environment.id] = envfacts.shown(env, said, shared.sum256)
        return known

    def _whole_in(self, environment: Environment, cwd: bytes) -> bytes:
        found = self._whole.get((environment.id, cwd))
        if found is None:
            found = self._whole[environment.id, cwd] = environment.whole_said(cwd, self._roots.text_in)
        return found

    def _where(self, store: Store, result: Result) -> list[bytes]:
        """The roots that are named in what a step left, or may be in a form in which nobody finds them."""
        words, tables = self._roots.names, self._evaluation.tree.tables
        command = b" ".join(result.argv)
        if result.flags & PLACED or any(flag in command for flag in _HIDES):
            return words
        if any(word in command for word in words) and measures(result.argv, result.kind == SHELL):
            return words
        moves = self._evaluation.plugin.lists_places
        versions = [tables.values[post] for pid, _pre, post in result.outputs() if not moves(tables.paths[pid])]
        found = [word for word in words if any(store.mentions(version, word) for version in versions)]
        if result.kind == SHELL and any(above in result.stdout for above in self._roots.directories()):
            return words
        if any(store.is_packed(version) for version in versions):
            return [word for word in words if word in found or word in command]
        return found

    def _is_for_nobody(self, fid: int) -> bool:
        """Whether what a step that read this left is right, or meant, here and now only."""
        tables = self._evaluation.tree.tables
        path = tables.paths[tables.fact_path[fid]]
        directory, _, name = path.rpartition(b"/")
        if name in _OF_THE_MOMENT and directory.endswith(b"bin"):
            return True
        return tables.fact_kind[fid] == READ and self._evaluation.disk.is_private(path)

    def _question(self, fid: int) -> bytes:
        tables = self._evaluation.tree.tables
        kind, path = tables.fact_kind[fid], tables.paths[tables.fact_path[fid]]
        entry = tables.values[tables.fact_value[fid]].partition(b"=")[0] if kind == NAME else b""
        return shared.question(EXISTS if kind == ABSENT else kind, self._roots.path_in(path), entry)

    def _value(self, fid: int) -> bytes:
        tables = self._evaluation.tree.tables
        return shared.pack([tables.values[tables.fact_value[fid]]])

    def _said(self, kind: bytes, cwd: bytes, argv: list[bytes]) -> bytes:
        """A step, as all trees say it."""
        words = map(self._roots.text_in, self._evaluation.plugin.normal_argv(argv))
        return shared.pack([shared.VERSION, kind, self._roots.path_in(cwd), *words])

    def _answers_afar(self, remote: Remote, fids: Collection[int], where: list[bytes]) -> tuple[bytes, bytes] | None:
        """What other machines know these answers by, and those about tools; None: somebody changes what was read."""
        known = self._sums
        for fid in fids:
            if fid not in known and not self._sum_up(remote, fid):
                return None
        answers = b"".join(map(known.__getitem__, fids))
        tools = sum(map(self._tools.__getitem__, fids)) & _64_BITS
        return shared.sum256(answers + shared.pack(where)), tools.to_bytes(8, "little")

    def _sum_up(self, remote: Remote, fid: int) -> bool:
        tables = self._evaluation.tree.tables
        value, path = tables.values[tables.fact_value[fid]], tables.paths[tables.fact_path[fid]]
        if len(value) == digest.FILE_SIZE and value[:1] == b"F":
            content = remote.sum_of(path, value)
            if content is None:
                return False
            value = value[:10] + content
        self._sums[fid] = answer = shared.pack([value])
        lies_in_tree = self._roots.path_in(path)[:1] == b"\3"
        self._tools[fid] = 0 if lies_in_tree else int.from_bytes(digest.of_bytes(answer + path)[:8], "little")
        return True

    def _name_of_result(self, step: bytes, questions: bytes, answers: bytes, where: list[bytes]) -> bytes:
        """`where`: roots that are named in what it left, so that it is right only where they are the same."""
        return digest.of_bytes(step + questions + answers + shared.pack(where))

    def _in_all_trees(self, store: Store, path: bytes, version: bytes) -> bytes | None:
        """The version of a list of places, as all trees say it; None of anything else."""
        if not self._evaluation.plugin.lists_places(path) or not any(
            store.mentions(version, w) for w in self._roots.names
        ):
            return None
        content = store.get(version)
        return None if content is None else store.put(self._roots.text_in(content), version[1:2] == b"x")

    def _in_this_tree(self, store: Store, version: bytes) -> bytes | None:
        """The inverse; None where that content is not to be had."""
        content = store.get(version)
        return None if content is None else store.put(self._roots.text_out(content), version[1:2] == b"x")

    def _left(self, store: Store, result: Result) -> Left:
        tables = self._evaluation.tree.tables
        outs = []
        for (pid, pre, post), mode in zip(result.outputs(), result.modes, strict=True):
            path, version = tables.paths[pid], tables.values[post]
            moved = self._in_all_trees(store, path, version)
            last = (version, mode) if moved is None else (moved, mode | MOVED)
            outs.append((self._roots.path_in(path), tables.values[pre], *last))
        text = self._roots.text_in
        return Left(result.code, result.kept, result.wall_us, outs, text(result.stdout), text(result.stderr))

    # -- asking ---------------------------------------------------------------------------------------------------

    def find(
        self, kind: bytes, key: bytes, cwd: bytes, argv: list[bytes], environment: Environment
    ) -> Iterator[Result]:
        """Results of other trees whose inputs are as they were, at this moment; their environment is not judged yet."""
        if self._store is None:
            return
        step = digest.of_bytes(self._said(kind, cwd, argv) + self._salt)
        for name, data in self._store.noted(b"steps", step, _MOST):
            try:
                questions = Questions.unpack(data)
                env = self._env_out(questions.env, environment, cwd)
                answered = None if env is None else self._answers(questions.asked)
            except (ValueError, LookupError):
                continue  # written by an enemy, or by nobody: it is no use
            answers = b"".join(map(self._values.__getitem__, answered[1])) if answered is not None else b""
            for where in self._places if answered is not None else ():
                found = self._store.noted(b"results", self._name_of_result(step, name, answers, where), 1)
                for _name, left in found:
                    result = Result(key, kind, self._evaluation.tree.tables.path(cwd), argv)
                    result.facts = answered[0] if answered else array("I")
                    if self._fill(self._store, result, env or b"", left):
                        yield result

    def ask_afar(self, kind: bytes, cwd: bytes, argv: list[bytes], environment: Environment) -> Pending | bool:
        """Whether other machines know a result, which then is in the store, for `find`."""
        remote, store = self._remote, self._store
        if remote is None or store is None or self.alone:
            return False
        said = self._said(kind, cwd, argv)
        step = shared.sum256(said)
        sets = remote.sets(step)
        if sets is None:
            return PENDING
        waits = False
        for seen in sets:
            questions = seen.questions
            try:
                shown = self._shown(questions.env, environment)
                env = None if shown is None else self._env_out(shown, environment, cwd)
                answered = None if env is None else self._answers(questions.asked)
            except (ValueError, LookupError):
                continue
            where = [root for root in self._roots.names if self._roots.path_in(root) in seen.marks]
            answers = None if answered is None else self._answers_afar(remote, answered[1], where)
            if answered is None or answers is None:
                continue
            left = remote.result(step, seen, *answers)
            if left and shown is not None:
                known = Questions(shown, questions.asked)
                self._learn(store, digest.of_bytes(said + self._salt), known, answered[1], where, left)
                return True
            waits |= left is None
        return PENDING if waits else False

    def _learn(
        self, store: Store, step: bytes, questions: Questions, fids: list[FactId], where: list[bytes], left: bytes
    ) -> None:
        """Another machine's result, as if another tree of this user had told it."""
        asked = b"\0".join(questions.asked)
        name = digest.of_bytes(shared.pack([questions.env]) + asked)
        store.note(b"steps", step, name, lambda: Questions.packed(questions.env, asked))
        answers = b"".join(map(self._values.__getitem__, fids))
        store.note(b"results", self._name_of_result(step, name, answers, where), b"", lambda: left)

    def _answers(self, asked: list[bytes]) -> tuple["array[int]", list[FactId]] | None:
        """What the questions' answers are in this tree: all facts, and one for each; None where that can't be right."""
        holds, answered = self._evaluation.tree.holds, self._answered.get
        fids = [answered(question, _UNKNOWN) for question in asked]
        if not holds.issuperset(fids):
            for at, question in enumerate(asked):
                if fids[at] not in holds:
                    found = self._answer_anew(question)
                    if found is None:
                        return None
                    fids[at] = found
        facts = set(fids)
        for question in self._twofold.intersection(asked):
            facts.update(self._facts_of(question)[0])
        return array("I", sorted(facts)), fids

    def _answer_anew(self, question: bytes) -> FactId | None:
        """A fact that answers it; None: the paths that may be meant say different things."""
        fids, values = self._facts_of(question)
        if len(values) != 1 or not all(map(self._evaluation.tree.check, fids)):
            return None
        if len(fids) > 1:
            self._twofold.add(question)
        else:
            self._answered[question] = fids[0]
        self._values[fids[0]] = shared.pack(list(values))
        return fids[0]

    def _facts_of(self, question: bytes) -> tuple[list[FactId], set[bytes]]:
        """The facts that answer it, one for each path that may be meant, and what they say."""
        kind, said, entry = shared.asked(question)
        path = self._evaluation.tree.tables.path
        answers = [self._answer(kind, path(each), entry) for each in self._roots.path_out(said)]
        return [fid for fid, _value in answers], {value for _fid, value in answers}

    def _answer(self, kind: int, pid: PathId, entry: bytes) -> tuple[FactId, bytes]:
        tree = self._evaluation.tree
        tables = tree.tables
        if kind == NAME:
            value = tree.named[pid].entry(tree.seen(READ, pid), entry)
            return tables.fact(NAME, pid, tables.value(value)), value
        value = tree.seen(kind, pid)
        return tables.fact(kind if value else ABSENT, pid, tables.value(value) if value else NO_VALUE), value

    def _fill(self, store: Store, result: Result, env: bytes, data: bytes) -> bool:
        """What a step left, in this tree; whether that is possible."""
        recording = self._evaluation.recording
        tables, text = recording.tables, self._roots.text_out
        try:
            left = Left.unpack(data)
        except ValueError:
            return False
        result.flags = ELSEWHERE
        for said, pre, post, mode in left.outs:
            paths = self._roots.path_out(said)
            here = self._in_this_tree(store, post) if mode & MOVED else post
            if len(paths) != 1 or not mode & KEPT or here is None:
                return False
            result.outs.extend((tables.path(paths[0]), tables.value(pre), tables.value(here)))
            result.modes.append(mode & ~MOVED)
        result.code, result.kept, result.wall_us = left.code, left.kept, left.wall_us
        result.stdout, result.stderr = text(left.stdout), text(left.stderr)
        result.env = recording.env_sets.number(env)
        return bool(result.modes) or result.silent() or result.answers()


def _told(said: bytes, env: bytes, asked: bytes, marks: list[bytes], answered: tuple[bytes, bytes], left: Left) -> Told:
    files = [(post, path.rpartition(b"/")[2]) for path, _pre, post, _mode in left.outs if post[:1] == b"F"]
    name = shared.sum256(shared.pack([env, *marks]) + asked)
    answers, tools = answered
    seen = Seen(name, marks, Questions(env, asked.split(b"\0") if asked else []), tools)
    return Told(shared.sum256(said), seen, answers, left.pack(), files, left.wall_us)
