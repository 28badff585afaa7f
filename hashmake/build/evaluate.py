"""A build that is not null: make evaluates in the clean view, the supervisor answers its steps, what ran is kept."""

import os
import re
import time
from collections import ChainMap
from collections.abc import Callable
from typing import TYPE_CHECKING

from hashmake.disk import git
from hashmake.disk.disk import Disk
from hashmake.errors import EXIT_FAILED, EXIT_INTERRUPTED, Damaged, StateUnusable
from hashmake.judge.account import Account
from hashmake.judge.engine import Engine
from hashmake.judge.running import Running
from hashmake.judge.tree import Tree
from hashmake.kbuild.plugin import Kbuild
from hashmake.model.kinds import NAME, READ
from hashmake.model.names import pack, unpack
from hashmake.model.plugin import AnyProject, Plugin
from hashmake.model.recording import Recording
from hashmake.model.result import QUERY, ROOT, SAYS, UNSEEN, Result, ResultId
from hashmake.model.tables import NO_VALUE, PathId, ValueId
from hashmake.null.gather import null_manifest
from hashmake.null.manifest import unpack_manifest
from hashmake.progress.choice import for_build
from hashmake.reports.log import as_json
from hashmake.request import Request
from hashmake.run.supervisor import Supervisor
from hashmake.run.view import FOREIGN, HIDDEN, HIDE, SOURCE, TIME, View, first_sight
from hashmake.state import compact, keep, roll
from hashmake.state.archive import Archive
from hashmake.state.database import U64, Database
from hashmake.state.directory import StateDirectory, remove_run_directory
from hashmake.state.nulllog import last_null
from hashmake.state.recovery import begin, recover, run_directory, survives
from hashmake.tell import say

if TYPE_CHECKING:
    from hashmake.model.goal import Goal
    from hashmake.progress.plain import Progress

_MAX_RESTARTS = 3
_MOST_LINES = 5  # about files of one kind
_NOT_IN_PRELOAD = re.compile(r"[\s:;$]")


class Opened:
    """The database and the recording in it."""

    def __init__(self, db: Database, archive: Archive, recording: Recording) -> None:
        self.db = db
        self.archive = archive
        self.recording = recording


def open_recording(request: Request) -> Opened:
    """Open or make the database; one that can't be believed is set aside. Raises StateUnusable."""
    state = request.state
    if not state.sealed() and not survives(state.database):
        state.set_aside("it is damaged")
    state.break_seal()
    fresh = not os.path.exists(os.path.join(state.database, "data.mdb"))
    for attempt in (1, 2):
        try:
            db = Database(state.database)
            archive = Archive(db)
            opened = Opened(db, archive, archive.load())
            lost = fresh and (_from_roll(opened.recording, state.path) or os.path.exists(state.aside))
            if lost or state.doubted():
                # What lies in the tree is not known any more, and may be as damaged as the database was.
                db.put_all({b"D": b"1"})
                state.doubt(False)
        except Damaged as damage:
            if attempt == 2:
                raise StateUnusable(f"{state.database}: {damage}") from damage
            state.set_aside(str(damage))
            fresh = True
        else:
            return opened
    raise AssertionError


def _from_roll(recording: Recording, state_path: str) -> bool:
    """After the database was lost: what the builds here had made; whether there was anything."""
    listed = roll.load(state_path)
    for key, path in listed:
        pid = recording.tables.path(path)
        recording.product(recording.goal(key), pid, NO_VALUE, NO_VALUE, recording.seq)
    return bool(listed)


def evaluate(request: Request) -> int:
    """Run make under the supervisor; its exit status. Raises StateUnusable before make has started."""
    state = request.state
    if not state.locked:
        os.makedirs(request.out, exist_ok=True)
        state.make()
        if request.place.remote and state.made and not request.drop_in:
            say(
                f"{request.out}: on a network file system ({request.place.remote}); state is kept in {state.path};"
                " use --state-dir for another place"
            )
        state.lock()
    state.remember(request.start, request.words)
    if not os.path.exists(library_path()):
        raise StateUnusable(f"{library_path()}: the interposer is missing; reinstall hashmake")
    opened = open_recording(request)
    code = 2
    ruined = ""
    try:
        for attempt in range(_MAX_RESTARTS + 1):
            # What can't be put right by running what is stale is put right by running everything.
            session, code = _settled(request, opened, anew=attempt == _MAX_RESTARTS)
            ruined = session.ruined
            if ruined and session.again:
                say(f"{request.out}: products can't be brought to their last versions; build again")
                code = code or EXIT_FAILED
            if ruined or not session.again:
                break
        else:
            say(f"{request.out}: products can't be brought to their last versions; remove them (make clean) and build")
            code = code or EXIT_FAILED
    except Damaged as damage:
        ruined = str(damage)
        raise StateUnusable(f"{state.database}: {damage}") from damage
    finally:
        _close(opened, state, ruined, complete=code == 0)
        if code != 0 and not opened.recording.products:
            state.unmake()
        state.release()
    return code


def _close(opened: Opened, state: StateDirectory, ruined: str, complete: bool) -> None:
    """Close the database, and seal it or set it aside; write it anew when it has grown much."""
    try:
        too_large = not ruined and complete and compact.grown(opened.db)
    except (Damaged, StateUnusable):
        too_large = False
    opened.db.close()
    if ruined:
        state.set_aside(ruined)
        return
    if too_large:
        compact.compact(state.database)
    state.seal()


def _settled(request: Request, opened: Opened, anew: bool) -> tuple["Session", int]:
    """A build, and again for each product that turned out to be a source meanwhile: there are only so many."""
    while True:
        session = Session(request, opened, anew)
        code = session.build()
        if not (session.roles and session.again):
            return session, code


def dry_run(request: Request) -> int:
    """Make -n over what is recorded; the exit status is make's."""
    db = Database(request.state.database, readonly=True)
    try:
        archive = Archive(db)
        return Session(request, Opened(db, archive, archive.load())).dry()
    finally:
        db.close()
        request.state.release()


def library_path() -> str:
    """The interposer, installed beside this package."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "interpose", "libhashmake.so")


def loadable(run_dir: str) -> str:
    """The interposer under a name that LD_PRELOAD can hold: one by which it lies in the run directory, if need be.

    Spaces and colons separate the names in it, and ld.so replaces what begins with `$`. Raises StateUnusable.
    """
    path = library_path()
    if not _NOT_IN_PRELOAD.search(path):
        return path
    place = os.path.join(run_dir, "lib")
    if _NOT_IN_PRELOAD.search(place):
        raise StateUnusable(f"{path}: LD_PRELOAD can't name it, nor {place}; install hashmake below another directory")
    os.mkdir(place, 0o700)
    for name in (os.path.basename(path), "hmstep"):
        os.symlink(os.path.join(os.path.dirname(path), name), os.path.join(place, name))
    return os.path.join(place, os.path.basename(path))


class Session:
    """One evaluation by make.

    `again`: something could only be put right by another one. `ruined`: why the database can't be written and is to be
    set aside.
    """

    def __init__(self, request: Request, opened: Opened, anew: bool = False) -> None:
        self.request = request
        self.again = False
        self.roles = 0
        self.ruined = ""
        self._anew = anew
        self._saved = self._told = self._discarded = False
        self._altered: dict[PathId, ValueId] = {}
        # What git tracks and nobody has changed is of one age: git keeps no times.
        self._tracked: dict[bytes, int] = {}
        self._of_one_age: set[bytes] = set()
        self._age = 0
        self._taken: set[PathId] = set()  # of these: shown to make, which may leave them alone
        self._db, self._archive, self._recording = opened.db, opened.archive, opened.recording
        self._goal: Goal = self._recording.goal(request.key)
        self._keeper = keep.Keeper(request.state.path, request.out, self._recording.build + 1)
        own = os.fsencode(request.state.path)
        self._disk = Disk(frozenset({own}))
        self._names = self._db.get(b"N" + request.key + request.asked)
        request.choose(self._names)
        stored = self._db.get(b"n" + request.key + request.inputs)
        if stored is not None:
            self._disk.know_looks(*unpack_manifest(stored)[9:])
        self._own = own
        self._places = tuple(os.fsencode(d) for d in (request.where, request.out))
        self._tables = tuple(os.fsencode(d) for d in (request.where, request.configured))
        self._plugin: Plugin = Kbuild() if request.kbuild else AnyProject()
        self._progress: Progress = request.progress or for_build(request.quiet, request.drop_in, self._expected_steps())

    def _expected_steps(self) -> int:
        rid = self._goal.root_for(self.request.inputs) or (self._goal.roots[-1][1] if self._goal.roots else None)
        root = self._recording.result(rid) if rid is not None else None
        return root.steps if root is not None else 0

    def dry(self) -> int:
        """What make -n is asked for: make sees every path at the moment it last changed; nothing is kept."""
        recording = self._recording
        run_dir = run_directory(self.request.state.path)
        try:
            view = View(os.path.join(os.fsencode(run_dir), b"view"), len(recording.products), TIME, recording.seq)
            tree = Tree(recording.tables, self._disk, recording.seq)
            self._show_all(tree, view)
            engine = self._engine(tree, run_dir, False, view.give_up)
            supervisor = Supervisor(engine, run_dir, os.fsdecode(engine.library), lambda: None)
            try:
                return self._run_make(engine, supervisor)[0]
            finally:
                supervisor.close()
                view.close()
        finally:
            remove_run_directory(run_dir)

    def _show_all(self, tree: Tree, view: View) -> None:
        """Every known path at the moment it last changed; a product that is not what its step left is not there."""
        recording = self._recording
        paths, values = recording.tables.paths, recording.tables.values
        for pid, (version, moment) in [*recording.sources.items(), *recording.products.items()]:
            product = pid in recording.products
            now = self._disk.own(paths[pid]) if product else self._disk.content(paths[pid])
            if now == values[version]:
                view.set(paths[pid], SOURCE, moment)
            elif product and pid in self._goal.products:
                view.set(paths[pid], SOURCE, 0)
            else:
                view.set(paths[pid], SOURCE, tree.seq + 1)
        tree.seq += 1
        view.moment(tree.seq)

    # -- the stages, in order -------------------------------------------------------------------------------------

    def build(self) -> int:
        """Prepare the tree and the view, run make, record."""
        recording = self._recording
        if recover(self._db, self._archive, recording, self._places):
            if not self.request.drop_in:
                say(f"{self.request.state.path}: the machine went down in the last build; everything is built again")
            self._db.put_all({b"D": b"1"})
        self._distrust_misfits()
        distrust = self._anew or bool(self._db.get(b"D"))
        self._moved()
        recording.build = max(recording.build, last_null(self.request.state.path)[0]) + 1
        first_contact = not recording.goals or (len(recording.goals) == 1 and not self._goal.products)
        run_dir = begin(self._db, self.request.state.path, self.request.key)
        try:
            view = self._make_view(run_dir)
            tree = Tree(recording.tables, self._disk, recording.seq, view.made)
            self._own_up()
            self._learn_ages()
            self._prepare(tree, view)
            engine = self._engine(tree, run_dir, distrust, view.give_up)
            supervisor = Supervisor(engine, run_dir, os.fsdecode(engine.library), lambda: self._save(engine))
            try:
                code, root = self._run_make(engine, supervisor)
                engine.restart |= view.full
                self._finish(engine, root, code, first_contact and not recording.sources)
            finally:
                supervisor.close()
                view.close()
        except StateUnusable:
            remove_run_directory(run_dir)
            raise
        wrong = self._tell_what_was_replaced(engine, code)
        # After any other exception, and when the end could not be saved, the run directory stays: it tells the next
        # build what this one wrote.
        if self._saved:
            remove_run_directory(run_dir)
        self.again = engine.restart or wrong
        self.roles = engine.roles
        self._progress.close(engine, code)
        return EXIT_INTERRUPTED if supervisor.signals == 2 else code

    def _distrust_misfits(self) -> None:
        """What plain make left and can't be right is not there for the first build of this goal."""
        if self._goal.products or self._goal.roots:
            return
        recording = self._recording
        known = recording.products.keys() | recording.sources.keys()
        misfits = [path for path in self._plugin.misfits(self._tables) if recording.tables.path(path) not in known]
        for path in misfits:
            recording.product(self._goal, recording.tables.path(path), NO_VALUE, NO_VALUE, recording.seq)
        if misfits and not self.request.quiet:
            first = os.path.relpath(os.fsdecode(misfits[0]), self.request.out)
            more = f" and {len(misfits) - 1} more" if len(misfits) > 1 else ""
            say(f"{self.request.out}: {first}{more}: not as a clean build makes it; plain make left it so; made again")

    def _learn_ages(self) -> None:
        """Which files are of one age, and of which: it stays what it was when this tree was first seen."""
        self._tracked = git.tracked(self.request.where)
        known = self._recording.tables.path_ids
        sources, products = self._recording.sources, self._recording.products
        for path, mtime_ns in self._tracked.items():
            pid = known.get(path)
            if pid is not None and (pid in sources or pid in products):
                continue
            try:
                if os.lstat(path).st_mtime_ns == mtime_ns:
                    self._of_one_age.add(path)
            except OSError:
                pass  # removed, and not committed yet
        age = self._db.get(b"A")
        if age is None and self._of_one_age:
            age = U64.pack(max(self._tracked[path] for path in self._of_one_age))
            self._db.put_all({b"A": age})
        if age is not None:
            self._age = first_sight(U64.unpack(age)[0])

    def _first_sight(self, path: bytes, version: bytes) -> int:
        """The moment of a source that is recorded for the first time: it keeps its place among those not recorded."""
        if path in self._of_one_age:
            return self._age
        try:
            return first_sight(os.stat(path).st_mtime_ns) if version else self._recording.seq
        except OSError:
            return self._recording.seq

    def _own_up(self) -> None:
        """What a person has said of paths: a person's own are sources, what was given back is a product again."""
        recording = self._recording
        ids = recording.tables.path_ids
        for path in self._keeper.mine & ids.keys():
            pid = ids[path]
            for goal in recording.goals.values():
                goal.products.discard(pid)
                goal.complete.pop(pid, None)
            recording.products.pop(pid, None)
            self._discarded = True
            self._keeper.watch(path, self._disk.own(path))
        for path in self._keeper.given_back:
            pid = recording.tables.path(path)
            self._keeper.watch(path, self._disk.own(path))
            recording.product(self._goal, pid, NO_VALUE, NO_VALUE, recording.seq)

    def _by_hand(self, pid: PathId, known: ValueId, here: ValueId) -> bool:
        """Whether somebody wrote what lies on the path of a product: no step is known to have made it.

        What git tracks is a source then; of anything else a copy is kept.
        """
        recording = self._recording
        values = recording.tables.values
        if here == known or values[here][:1] != b"F" or not recording.made_by_step(pid, known) or not known:
            return False
        if (pid, here) in recording.makers or recording.reaches(pid, known, here):
            return False
        if recording.tables.paths[pid] in self._tracked:
            recording.becomes_source(pid, here, recording.seq)
            self._discarded = True
        else:
            self._altered[pid] = here
            self._keeper.watch(recording.tables.paths[pid], values[here])
        return True

    def _tell_what_was_replaced(self, engine: Engine, code: int) -> bool:
        """Say where a person's version of a product is now, and which products have become a person's.

        Whether make has to evaluate once more: a step had written what is a person's.
        """
        out, paths = self.request.out, self._recording.tables.paths
        kept: list[tuple[str, str]] = []
        again = False
        for path, copy in self._keeper.replaced():
            name = os.path.relpath(os.fsdecode(path), out)
            if path in self._keeper.mine and self._keeper.put_back(path, copy):
                again = True  # who read it meanwhile read the step's
            else:
                kept.append((name, os.path.relpath(os.fsdecode(copy), out)))
        for name, where in kept[:_MOST_LINES]:
            say(f"{out}: {name}: changed by hand, made again; yours is {where}; `hashmake keep {name}` brings it back")
        if kept[_MOST_LINES:]:
            say(f"{out}: {len(kept) - _MOST_LINES} more changed by hand and made again; yours are beside the first")
        if code == 0:
            self._keeper.forget_given_back()
            left = [p for p, version in self._altered.items() if p in self._taken and engine.tree.on_disk(p) == version]
            for pid in left[:_MOST_LINES] if not self.request.quiet else ():
                name = os.path.relpath(os.fsdecode(paths[pid]), out)
                say(f"{out}: {name}: changed by hand, yours now; `hashmake keep --undo {name}` has it made again")
        return again

    def _moved(self) -> None:
        """A tree that was moved: what this goal made at the old place are its products here."""
        state = self.request.state.path
        old = self._db.get(b"H")
        if old is not None and os.fsdecode(old) != state:
            before, after = os.path.dirname(os.fsdecode(old)), os.path.dirname(state)
            past = self._recording.goals.get(self.request.key_at(after, before))
            paths = self._recording.tables.paths
            prefix = os.fsencode(before) + b"/"
            for pid in past.products if past is not None else ():
                if paths[pid].startswith(prefix):
                    here = self._recording.tables.path(os.fsencode(after) + paths[pid][len(prefix) - 1 :])
                    self._recording.product(self._goal, here, NO_VALUE, NO_VALUE, self._recording.seq)
        self._db.put_all({b"H": os.fsencode(state)})

    def _make_view(self, run_dir: str) -> View:
        recording = self._recording
        expected = len(recording.products) + len(recording.sources)
        try:
            tables = [path for path, _projection in self._plugin.tables(self._tables)]
            return View(os.path.join(os.fsencode(run_dir), b"view"), expected, HIDE | TIME, recording.seq, tables)
        except OSError as error:
            raise StateUnusable(f"{run_dir}: {error.strerror}; is the disk full?") from error

    def _prepare(self, tree: Tree, view: View) -> None:
        """Hide what builds of this goal made; say when everything else was last seen to change."""
        recording, goal, disk = self._recording, self._goal, self._disk
        paths, values = recording.tables.paths, recording.tables.values
        view.set(self._own, HIDDEN, 0)
        old = {os.fsencode(self.request.path(name)) for name in self.request.arguments.old_files}
        for pid in list(goal.products):
            if paths[pid] not in old or not tree.on_disk(pid):
                self._begin_product(tree, view, pid)
        # What lies about unknown is the user's, unless a step of this goal may have made it unseen.
        last = recording.result(goal.roots[-1][1]) if goal.roots else None
        known = ChainMap(recording.products, recording.sources)
        for pid in tree.uncover(known, strangers=last is not None and not last.flags & UNSEEN):
            view.made(paths[pid], recording.products.get(pid, (NO_VALUE, 0))[1], True, True)
        tree.seq += 1  # what has changed since the last build changed at one moment
        recording.seq = tree.seq
        foreign = [(p, v) for p, v in recording.products.items() if p not in tree.state]
        for pid, (version, changed_at) in [*recording.sources.items(), *foreign]:
            moment = changed_at
            path = paths[pid]
            product = pid in recording.products
            derived = product and recording.made_by_step(pid, version)
            now = disk.own(path) if product else disk.content(path)
            if now != values[version]:
                moment = tree.seq
                if derived and self._by_hand(pid, version, recording.tables.value(now)) and pid in recording.sources:
                    view.set(path, SOURCE, moment)
                    continue
                # One that was changed by hand stays what it was: a goal that has a rule for it makes it again.
                seen = version if derived else recording.tables.value(now)
                (recording.products if product else recording.sources)[pid] = (seen, moment)
            if derived:
                tree.foreign[pid] = version
            view.set(path, FOREIGN if derived else SOURCE, moment)
        for path in self._of_one_age:
            view.set(path, SOURCE, self._age)
        view.moment(tree.seq)
        recording.seq = tree.seq

    def _begin_product(self, tree: Tree, view: View, pid: PathId) -> None:
        recording, goal = self._recording, self._goal
        path = recording.tables.paths[pid]
        here = tree.on_disk(pid)
        known, known_at = recording.products.get(pid, (NO_VALUE, tree.seq))
        began, began_at = goal.began.get(pid, (NO_VALUE, known_at))
        pre, _post = goal.complete.get(pid, (began, NO_VALUE))
        if goal.complete and pid not in goal.complete and here not in (NO_VALUE, known):
            # No rule made it last time and it is not what a rule made: it has become somebody's source.
            goal.products.discard(pid)
            self._discarded = True
            return
        by_hand = self._by_hand(pid, known, here)
        if pid in recording.sources:
            return
        if by_hand and pre == NO_VALUE and not self.request.kbuild:
            self._taken.add(pid)
            # It is there, older than every source: a rule with prerequisites makes it again. A rule or a step that
            # makes it only where there is none leaves it alone, as with stock make.
            return
        if pre == NO_VALUE:
            tree.hide(pid)
            view.set(path, HIDDEN, 0)
            return
        start = pre if here == pre or recording.reaches(pid, pre, here) else here
        tree.begin_with(pid, start)
        # The first version is not the work of a step of this goal and is gone: who opens it gets what there is.
        # Its time is that of the other goal's work, unless that goal has been at it again since.
        moment = began_at if recording.writers.get(pid) == goal.key else known_at
        if start != NO_VALUE and (recording.made_by_step(pid, start) or recording.replaced(pid, known)):
            view.set(path, FOREIGN, moment)  # a rule makes it: it is to be asked for, whatever looks newer
        else:
            view.made(path, moment, start != NO_VALUE, True)

    def _engine(self, tree: Tree, run_dir: str, distrust: bool, give_up: Callable[[], None]) -> Engine:
        request = self.request
        engine = Engine(
            self._recording,
            self._goal,
            tree,
            self._disk,
            self._plugin,
            os.fsencode(run_dir),
            self._own,
            self._places,
            self._plugin.tables(self._tables),
            os.fsencode(loadable(run_dir)),
            self._progress.step,
        )
        engine.forced = request.arguments.always_make or distrust
        engine.again = request.again
        engine.altered = set(self._altered)
        engine.give_up = give_up
        engine.mine = frozenset(p for path in self._keeper.mine if (p := tree.tables.path_ids.get(path)) is not None)
        engine.prints = self._asked_for_what_it_prints()
        for name in request.arguments.new_files:
            tree.assumed_new.add(tree.tables.path(os.fsencode(request.path(name))))
        return engine

    def _asked_for_what_it_prints(self) -> bool:
        """Whether steps that make no files run, current or not: what a goal makes is known when it was built once."""
        root = self._recording.result(self._goal.roots[-1][1]) if self._goal.roots else None
        return root is None or bool(root.flags & QUERY or (root.flags & SAYS and self.request.query))

    def _run_make(self, engine: Engine, supervisor: Supervisor) -> tuple[int, Running]:
        request = self.request
        cwd = os.fsencode(request.where)
        words = request.words
        if request.arguments.always_make and self._goal.roots:
            # The clean view makes make ask for every step; -B on top would remake what has no real rule (.config).
            words = request.arguments.without_always_make()
        elif engine.forced and not self._goal.roots and self._plugin.always_make:
            words = ["-B", *request.arguments.without_always_make()]
        block = b"\0".join(k + b"=" + v for k, v in os.environb.items())
        argv = [os.fsencode(request.make or "make"), b"make", *map(os.fsencode, words)]
        root = engine.start(ROOT, request.key, cwd, argv, engine.environment(block), None)
        request.rewind()
        began = time.monotonic()
        code = supervisor.run_make(request.make or "make", ["make", *words], dict(os.environ), root)
        if code > 128 and not supervisor.signals:
            say(f"make: killed by signal {code - 128}; run the same command again")
        if code == 0:
            engine.take_in(root)  # what make took away itself need not be brought back
            supervisor.bring_back_all()
            engine.conclude(root)
        result = engine.done(root, code, int((time.monotonic() - began) * 1e6), b"", False)
        self._root_result = result
        return code, root

    # -- recording ------------------------------------------------------------------------------------------------

    def _save(self, engine: Engine) -> None:
        if self.ruined:
            return
        engine.settle()
        self._recording.seq = engine.tree.seq
        try:
            self._archive.save(self._recording)
            engine.drop_traces()
        except (StateUnusable, Damaged) as error:
            # make goes on; what is not saved is tried again with the next save, and what never is runs again.
            self._not_saved(error)

    def _not_saved(self, error: StateUnusable | Damaged) -> None:
        if isinstance(error, Damaged):
            self.ruined = str(error)
        elif not self._told:
            say(str(error))
        self._told = True

    def _finish(self, engine: Engine, root: Running, code: int, first_contact: bool) -> None:
        request, recording = self.request, self._recording
        result = self._root_result
        engine.settle()
        recording.seq = engine.tree.seq
        extra: dict[bytes, bytes] = {}
        if code == 0 and not engine.restart and not request.arguments.old_files:
            for pid in self._taken - engine.tree.made_at.keys():
                recording.becomes_source(pid, engine.tree.on_disk(pid), engine.began)  # nobody makes it again
            orphans = self._orphans(engine, result)
            names = pack(unpack(self._names or b"") | engine.root_names)
            extra[b"N" + request.key + request.asked] = names
            request.choose(names)
            self._goal.set_root(request.inputs, result)
            self._learn_sources(result, engine)
            manifest = null_manifest(result, engine, self._goal, self._goal_names(root.account))
            if manifest is not None:
                extra[b"n" + request.key + request.inputs] = manifest
                extra[b"s" + request.key + request.inputs] = b"1" if result.flags & SAYS else b""
            if orphans and not request.quiet:
                self._name(orphans)
            if first_contact and not request.quiet:
                self._first_contact(engine, root.account, result)
        extra.update(self._archive.moments(recording))
        extra[b"O"] = b""
        if code == 0:
            extra[b"D"] = b""
        if self.ruined:
            return
        try:
            self._archive.save(recording, extra)
            self._db.save_log(recording.build, as_json(recording.build, request.words, code, engine, request.began))
            self._db.sync()
            self._saved = True
            if self._discarded:
                listed = [(g.key, recording.tables.paths[p]) for g in recording.goals.values() for p in g.products]
                roll.rewrite(request.state.path, listed)
        except (StateUnusable, Damaged) as error:
            self._not_saved(error)

    def _goal_names(self, account: Account) -> list[bytes]:
        return [os.fsencode(g) for g in self.request.arguments.goals] or [account.goal or b"all"]

    def _learn_sources(self, result: Result, engine: Engine) -> None:
        recording = self._recording
        tables = recording.tables
        for fid in result.facts:
            if tables.fact_kind[fid] not in (READ, NAME):
                continue
            pid = PathId(tables.fact_path[fid])
            if pid in engine.tree.state or pid in recording.products or tables.paths[pid][:1] != b"/":
                continue
            version = ValueId(tables.fact_value[fid])
            if tables.fact_kind[fid] == NAME:
                version = tables.value(engine.tree.seen(READ, pid))
            before = recording.sources.get(pid)
            if before is None:
                recording.sources[pid] = (version, self._first_sight(tables.paths[pid], tables.values[version]))
            elif before[0] != version:
                recording.sources[pid] = (version, engine.began)

    def _orphans(self, engine: Engine, result: Result) -> list[bytes]:
        """Products that the last complete build made and this one did not."""
        made = {pid for pid, _pre, post in result.outputs() if post}
        tree = engine.tree
        lost = [p for p, (pre, post) in self._goal.complete.items() if post and not pre and p not in made]
        paths = tree.tables.paths
        left = [paths[p] for p in lost if tree.state.get(p) == NO_VALUE and tree.on_disk(p)]
        return sorted(path for path in left if not (self._plugin.only_a_stamp(path) and self._discard(path)))

    def _discard(self, path: bytes) -> bool:
        """Remove an orphan that nobody misses; a directory stays, and is not worth a line."""
        return os.path.isdir(path) or self._disk.remove(path, self._places)

    def _name(self, orphans: list[bytes]) -> None:
        first = os.path.relpath(os.fsdecode(orphans[0]), self.request.where)
        more = f" and {len(orphans) - 1} more" if len(orphans) > 1 else ""
        say(f"{first}{more}: no rule makes it any more; hidden from this build, not removed")

    def _first_contact(self, engine: Engine, account: Account, result: Result) -> None:
        """Files make looked at that no step made or read: perhaps products of plain make."""
        tables = engine.tree.tables
        read = {tables.fact_path[f] for f in result.facts if tables.fact_kind[f] == READ}
        made = set(result.outs[0::3])
        below = [self._recording.result(ResultId(rid)) for rid in result.kids]
        kids = {tables.fact_path[f] for kid in below if kid is not None for f in kid.facts}
        kids.update(tables.fact_path[f] for f in account.facts if tables.fact_kind[f] == READ)
        inside = tuple(os.fsencode(d) + b"/" for d in (self.request.where, self.request.out))
        looked = [p for p in account.looks if p in read and p not in made and p not in kids]
        taken = sorted(path for p in looked if (path := tables.paths[p]).startswith(inside))
        if taken:
            first = os.path.relpath(os.fsdecode(taken[0]), self.request.where)
            say(
                f"first build here: {len(taken)} files (such as {first}) were taken as they are;"
                " if plain make made them before, `hashmake build -B` distrusts them"
            )
