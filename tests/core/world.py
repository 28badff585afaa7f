"""A build world in memory: files, a makefile of a few lines (makefile.py), and a driver that plays make.

    w = World("a.o: a.c a.h", a_c="...")      the tree, with the makefile's steps
    assert w.build() == "a.o"                 which steps ran, in their order
    w.edit("a.h"); assert w.why["a.o"] == "ReadChanged a.h"

Each build has an engine of its own over one recording, as two runs of `hashmake build` have. After each that ends well
all files are compared with those of a clean build of the same sources; `checked=False` leaves that out.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fakes import Files, MemoryDisk, MemoryStore, MemoryTrace, at

from core.makefile import Step, every, parse
from core.process import Failed, Process
from hashmake.build.finish import Saving
from hashmake.build.prepare import Preparation
from hashmake.judge.engine import Engine
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.replay import LeftToMake, Replay
from hashmake.judge.running import Pending, Restored, Running
from hashmake.judge.tree import Tree
from hashmake.model import digest, letters
from hashmake.model.course import Course
from hashmake.model.identity import key_of
from hashmake.model.kinds import READ
from hashmake.model.plugin import AnyProject
from hashmake.model.printed import ERR, OUT, Printed
from hashmake.model.recording import Recording
from hashmake.model.result import COMPOSITE, RECIPE, ROOT, Result, ResultId
from hashmake.model.roots import Roots
from hashmake.model.tables import NO_VALUE, PathId, ValueId
from hashmake.run.view import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmake.judge.world import Remote

CWD = b"/w"
OWN = b"/w/.hashmake"
_PLACES = (CWD,)
_RESTARTS = 3  # as build/evaluate.py
_Answer = Result | Restored | Running | Pending


class World:
    """See the module's text.

    store      keep what steps leave; restored: names of the steps that were restored in the last build
    ran, why   of the last build: names of steps that ran, and for what reason each did
    during     name of a step -> what happens while it runs; `after`: when it has just ended
    settings   what each engine is given before make starts
    replay     whether builds do without make where they can; replayed: whether the last one did
    remote     other machines
    arrive     what a step waits for arrives
    code       make's status in the last build; restarts: how often it was evaluated once more
    """

    replay = True
    jobs = 1

    def __init__(self, makefile: str, checked: bool = True, store: bool = False, **sources: str) -> None:
        self.files = Files()
        self.store = MemoryStore(self.files) if store else None
        self.restored: list[str] = []
        self.recording = Recording()
        self.env = {"PATH": "/bin"}
        self.sources: dict[bytes, str] = {}
        self.during: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.settings: Callable[[Engine], None] = lambda _engine: None
        self.remote: Remote | None = None
        self.arrive: Callable[[str], None] = lambda _step: None
        self.checked = checked
        self.ran: list[str] = []
        self.why: dict[str, str] = {}
        self.answers: dict[str, bytes] = {}
        self.orphans: list[str] = []
        self.code = self.restarts = 0
        self.replayed = False
        self.courses: dict[ResultId, Course] = {}
        self.recording.load_course = self.courses.get
        self._failed: set[ResultId] = set()
        self._replaying = False
        self.files.mkdir(b"/bin")
        for program in ("make", "sh"):
            self.files.write(b"/bin/" + program.encode(), program, executable=True)
        self.makefile(makefile)
        for name, text in sources.items():
            self.edit(name.replace("_", "."), text)

    # -- what a person does ----------------------------------------------------------------------------------------

    def makefile(self, text: str) -> None:
        """Write the makefiles."""
        self.root = parse(text)
        self._text = text
        for make in every(self.root):
            if make.make and self._read(make.makefile) != make.text():
                self.files.write(at(make.makefile), make.text())

    def edit(self, name: str, text: str, executable: bool | None = None) -> None:
        """Write a source."""
        self.sources[at(name)] = text
        self.files.write(at(name), text, executable)

    def touch(self, *names: str) -> None:
        """Their times are new, and nothing else."""
        for name in names:
            self.files.touch(at(name))

    def remove(self, *names: str) -> None:
        """Take files away."""
        for name in names:
            self.sources.pop(at(name), None)
            self.files.remove(at(name))

    def spoil(self, name: str, text: str = "spoiled") -> None:
        """Write into a product."""
        self.files.write(at(name), text)

    def text(self, name: str) -> str:
        """What a file holds."""
        return self.files.nodes[at(name)].text

    def there(self, name: str) -> bool:
        """Whether a file is there."""
        return at(name) in self.files.nodes

    def _read(self, name: str) -> str | None:
        return self.text(name) if self.there(name) else None

    # -- a build ---------------------------------------------------------------------------------------------------

    def build(self, steps: str = "", goal: str = "all") -> str:
        """Build; which steps ran. `steps`: make asks for these only; `goal`: what it is called."""
        self.restarts = -1
        self.replayed = False
        self._failed = set()
        self.ran, self.restored, self.why = [], [], {}
        if self.replay and not steps and self.goal_is_known(goal) and self._evaluate([], goal, False, replay=True):
            pass  # make goes on
        elif self.replayed:
            if self.checked:
                self._compare_with_a_clean_build(steps, goal)
            return " ".join(self.ran)
        while self.restarts < _RESTARTS:
            self.restarts += 1
            if not self._evaluate(steps.split(), goal, self.restarts == _RESTARTS):
                break
        if self.checked and not self.code:
            self._compare_with_a_clean_build(steps, goal)
        return " ".join(self.ran)

    def _compare_with_a_clean_build(self, steps: str, goal: str) -> None:
        clean = World(self._text, checked=False)
        clean.env = self.env
        for path, text in self.sources.items():
            if path in self.files.nodes:
                clean.files.nodes.setdefault(path.rpartition(b"/")[0], self.files.nodes[b"/w"])
                clean.files.write(path, text, self.files.nodes[path].executable)
        clean.build(steps, goal)
        here = {path: (n.kind, n.text, n.executable, n.mode) for path, n in self.files.nodes.items()}
        there = {path: (n.kind, n.text, n.executable, n.mode) for path, n in clean.files.nodes.items()}
        different = {path: (here.get(path), node) for path, node in there.items() if here.get(path) != node}
        assert not different, "not what a clean build makes"

    def goal_is_known(self, goal: str) -> bool:
        """Whether there is something to replay."""
        rid = self.recording.goal(digest.of_bytes(goal.encode())).root_for(b"inputs")
        return rid is not None and rid in self.courses

    def _evaluate(self, steps: list[str], goal: str, forced: bool, replay: bool = False) -> bool:
        """One evaluation by make; whether there has to be another one."""
        recording = self.recording
        recording.build += 1
        self.disk = disk = MemoryDisk(self.files)
        self.view: dict[bytes, str] = {}
        self.tree = tree = Tree(recording.tables, disk, recording.seq, self._made)
        self.goal = recording.goal(digest.of_bytes(goal.encode()))
        preparation = self._prepare(tree)
        evaluation = Evaluation(recording, self.goal, tree, disk, AnyProject(), _PLACES)
        self.traces: dict[int, list[bytes]] = {}
        self.engine = Engine(
            evaluation,
            self._trace,
            OWN,
            [],
            b"",
            self._started,
            self.store,
            Roots(CWD, CWD),
            digest.of_bytes,
            self.remote,
        )
        self.engine.altered = set(preparation.altered)
        self.engine.forced = forced
        self.settings(self.engine)
        self._steps = {(s.kind, *s.argv): s for s in every(self.root)}
        self._waiting: list[tuple[Step, Running, list[PathId]]] = []
        environment = self.engine.environments.of(self._block())
        root = self.engine.starter.start(ROOT, b"root".ljust(16), CWD, [b"make"], environment, None)
        if replay:
            self._replaying = True
            try:
                if not self._replay(root):
                    return True
            finally:
                self._replaying = False
        else:
            self.engine.failed = self._failed
            self.code = self._make(root, [s for s in self.root.below if not steps or s.name in steps])
        self._bring_back_all()
        result = self.engine.ending.done(root, self.code, 0)
        self.engine.unsaved.settle()
        self.engine.sharing.tell()
        recording.seq = tree.seq
        if not self.code and not evaluation.restart:
            self._complete(result, preparation)
        self._save()
        return evaluation.restart

    def _save(self) -> None:
        for rid, course in self.recording.new_courses.items():
            if course is None:
                self.courses.pop(rid, None)
            else:
                self.courses[rid] = Course.unpack(course.pack())
        self.recording.saved()

    def _replay(self, root: Running) -> bool:
        """The build without make; whether it could be done."""
        record = self.recording.result(self.goal.root_for(b"inputs") or ResultId(0))
        assert record is not None
        course = self.courses[record.id]
        try:
            if self.engine.environments.of(self.recording.env_blocks.all[course.block]).variables != self.env_now():
                return False
            self.engine.ask = self._note(self.engine.ask)  # type: ignore[method-assign]
            self.begun: list[tuple[Running, Callable[[], None]]] = []
            replay = Replay(
                self.engine, self.jobs, self.start_later, self.wait_for_one, lambda _out, _err: None, lambda: False
            )
            replay.goal(root, record, course)
        except LeftToMake as left:
            makes = {s.name for s in every(self.root) if s.make}
            self.ran = [name for name in self.ran if name not in makes]  # make begins them once more
            self._failed = left.failed
            self.engine.unsaved.settle()
            self.engine.sharing.tell()
            self.recording.seq = self.tree.seq
            self._save()
            return False
        self.code = 0
        self.replayed = True
        return True

    def _note(self, ask: Callable[..., _Answer]) -> Callable[..., _Answer]:
        """What a test wants to know of the answers."""

        def noting(kind: bytes, parent: int, cwd: bytes, argv: list[bytes], *rest: Any) -> _Answer:
            answer = ask(kind, parent, cwd, argv, *rest)
            name = self._steps[kind, *argv].name
            if isinstance(answer, Running):
                self._say_why(name, answer)
            elif isinstance(answer, Restored):
                self.restored.append(name)
            elif isinstance(answer, Result):
                self.answers[name] = answer.stdout
            return answer

        return noting

    def env_now(self) -> dict[bytes, bytes]:
        """The variables as the engine knows them."""
        return self.engine.environments.of(self._block()).variables

    def start_later(self, running: Running, then: Callable[[], None]) -> None:
        """A launcher is started; here its step runs at once."""
        self._start(running, then)

    def wait_for_one(self) -> None:
        """Something happens."""

    def _start(self, running: Running, then: Callable[[], None]) -> None:
        step = self._step_of(running)
        assert step is not None
        running.then = then
        self._run(step, running)
        then()

    def _trace(self, number: int) -> MemoryTrace:
        return MemoryTrace(self.traces.setdefault(number, []))

    def _started(self, running: Running) -> None:
        """The engine tells of each step that begins: one that is gone through without make runs nowhere else."""
        step = self._step_of(running)
        if self._replaying and step is not None and step.make:
            self.ran.append(step.name)

    def _block(self) -> bytes:
        return b"\0".join(f"{name}={value}".encode() for name, value in self.env.items())

    def _setting(self) -> Any:
        """What the stages before and after make see of everything."""
        request = SimpleNamespace(arguments=SimpleNamespace(old_files=[]), kbuild=False)
        keeper = SimpleNamespace(watch=lambda _path, _version: None)
        return SimpleNamespace(
            recording=self.recording,
            goal=self.goal,
            disk=self.disk,
            own=OWN,
            request=request,
            keeper=keeper,
            plugin=AnyProject(),
        )

    def _prepare(self, tree: Tree) -> Preparation:
        """What is hidden, foreign, or begins as it was: the stage itself, with a dictionary as its view."""
        view: Any = SimpleNamespace(set=self._set, made=self._made, moment=lambda _moment: None)
        preparation = Preparation(self._setting())
        preparation.hide(tree, view)
        return preparation

    def _set(self, path: bytes, state: int, _moment: int) -> None:
        if state == HIDDEN:
            self.view[path] = "hidden"

    def _made(self, path: bytes, _moment: int, there: bool, here: bool) -> None:
        self.view[path] = "hidden" if not there else "present" if here else "ahead"

    def _complete(self, root: Result, preparation: Preparation) -> None:
        recording, tables = self.recording, self.recording.tables
        orphans = Saving(self._setting(), preparation)._orphans(self.engine, root)
        self.orphans = [path.decode().removeprefix("/w/") for path in orphans]
        for pid in preparation.taken - self.tree.made_at.keys():
            recording.becomes_source(pid, self.tree.on_disk(pid), self.engine.evaluation.began)
        self.goal.set_root(b"inputs", root)
        for fid in root.facts:
            pid = PathId(tables.fact_path[fid])
            if tables.fact_kind[fid] == READ and pid not in self.tree.state and pid not in recording.products:
                recording.sources[pid] = (ValueId(tables.fact_value[fid]), recording.seq)

    # -- make ------------------------------------------------------------------------------------------------------

    def _make(self, running: Running, steps: list[Step]) -> int:
        """A make process in a running step goes through its steps; its status."""
        process = Process(self, running)
        process.say(letters.MAKE, b"/bin/make")
        self.engine.intake.make_started(running.number, captured=0)
        process.say(letters.DECIDES, b".")
        process.read((self._step_of(running) or self.root).makefile)
        code = 0
        for step in steps:
            for name in [operand for verb, operand in step.does if verb == "read"] + step.outs:
                process.look(name.rstrip("+"))
            code = self._ask(step, running)
            self._look_after_failed()
            if code:
                break
        while self._waiting:
            code = 2
            self._end(*self._waiting.pop(0)[:2], 2)
        return code

    def _step_of(self, running: Running) -> Step | None:
        return self._steps.get((running.kind, *running.argv))

    def ask(self, step: Step, parent: Running) -> Result | Restored | Running:
        """Ask the engine as a launcher does."""
        while isinstance(answer := self.engine.ask(step.kind, parent.number, CWD, step.argv, self._block()), Pending):
            self.arrive(step.name)
        return answer

    def _ask(self, step: Step, parent: Running) -> int:
        answer = self.ask(step, parent)
        if isinstance(answer, Restored):
            self.restored.append(step.name)
            answer = answer.result
        if isinstance(answer, Result):
            self.answers[step.name] = answer.stdout
            return answer.code
        return self._run(step, answer)

    def _run(self, step: Step, running: Running) -> int:
        """Run a step to its end; its status, 0 for one that failed and may yet be run again."""
        if not (self._replaying and step.make):
            self.ran.append(step.name)
        if step.make:
            return self._end(step, running, self._make(running, step.below))
        process = Process(self, running)
        out, code = "", 0
        try:
            out = process.do(step)
        except Failed:
            code = 2
            missing = [] if running.retried or running.then else self.engine.ending.looked_too_soon(running)
            if missing:
                self._waiting.append((step, running, missing))
                return 0
        return self._end(step, running, code, out if step.kind != RECIPE else "")

    def _end(self, step: Step, running: Running, code: int, out: str = "") -> int:
        says = out if step.kind != RECIPE else f"{step.name} says so" if running.watched else ""
        printed = Printed(says.encode(), b"", OUT | ERR if running.watched else 0)
        result = self.engine.ending.done(running, code, 1, printed)
        self.answers[step.name] = result.stdout
        self._say_why(step.name, running)
        if not result.flags & COMPOSITE and step.name in self.after:
            self.after.pop(step.name)()
        return code

    def _say_why(self, name: str, running: Running) -> None:
        reason = running.reason
        assert reason is not None
        self.why[name] = f"{reason.kind} {reason.what.decode().removeprefix('/w/')}".strip()

    def _look_after_failed(self) -> None:
        """As the supervisor does: a step that looked too soon runs again when what it missed is there."""
        for waiting in list(self._waiting):
            step, running, missing = waiting
            made = next((pid for pid in missing if self.tree.state.get(pid, NO_VALUE) != NO_VALUE), None)
            if made is not None:
                self._waiting.remove(waiting)
                self._run(step, self.engine.ending.try_again(running, 2, 1, made))

    # -- versions that are due -------------------------------------------------------------------------------------

    def want(self, running: Running, path: bytes) -> None:
        """A process opens a file of which a later version lies there: as run/due.py does."""
        pid = self.recording.tables.path(path)
        self._bring_back(pid)
        for inside in self.engine.ahead.came_with(pid):
            self._bring_back(inside)
        self.engine.ahead.given(running.number, pid)

    def _bring_back(self, pid: PathId) -> None:
        again = self.engine.ahead.bring_back(pid)
        if again is not None:
            step = self._step_of(again)
            assert step is not None
            again.then = lambda: None
            self._run(step, again)

    def _bring_back_all(self) -> None:
        for pid in sorted(self.tree.ahead):
            if pid in self.tree.ahead:
                self._bring_back(pid)

    def key(self, name: str) -> bytes:
        """The identity of a step."""
        step = next(s for s in every(self.root) if s.name == name)
        return key_of(step.kind, CWD, step.argv)

    def result(self, name: str) -> Result:
        """What is recorded of a step's last run."""
        return next(self.recording.candidates(self.key(name)))
