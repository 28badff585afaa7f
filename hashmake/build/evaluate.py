"""A build that is not null: make evaluates in the clean view, the supervisor answers its steps, what ran is kept."""

import gc
import os
from signal import SIGINT
from typing import TYPE_CHECKING

from hashmake.build.finish import Saving
from hashmake.build.make import run_make
from hashmake.build.messages import tell_what_was_replaced
from hashmake.build.prepare import Preparation
from hashmake.build.replay import known_course, replay
from hashmake.build.setting import Setting, remote_store
from hashmake.errors import EXIT_FAILED, EXIT_INTERRUPTED, Damaged, StateUnusable
from hashmake.judge.engine import Engine
from hashmake.judge.replay import LeftToMake
from hashmake.judge.running import Running
from hashmake.judge.tree import Tree
from hashmake.model.result import Result
from hashmake.null.check import Check
from hashmake.progress.choice import for_build
from hashmake.request import Request
from hashmake.run import directory
from hashmake.run.known import KnownRecords
from hashmake.run.library import library_path, loadable
from hashmake.run.supervisor import Supervisor
from hashmake.run.trace import Journal
from hashmake.state.nulllog import last_null
from hashmake.state.opened import Opened, close, open_recording
from hashmake.state.recovery import begin, recover
from hashmake.tell import say

if TYPE_CHECKING:
    from hashmake.judge.log import Log
    from hashmake.progress.plain import Progress
    from hashmake.store.remote import RemoteStore

_MAX_RESTARTS = 3
_COLLECT = 50_000, 20, 50  # how often: see the module gc


def evaluate(request: Request, check: Check) -> int:
    """Run make under the supervisor; its exit status. Raises StateUnusable before make has started.

    check  the look that found something changed; nothing has been done to the tree since
    """
    remote = remote_store(request)
    try:
        return _evaluate(request, check, remote)
    finally:
        if remote is not None:
            remote.close()


def _evaluate(request: Request, check: Check, remote: "RemoteStore | None") -> int:
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
    # What is loaded stays: to look through it for garbage again and again costs a tenth of a small build.
    gc.disable()
    opened = open_recording(state)
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    gc.enable()
    code = 2
    ruined = ""
    session: Session | None = None
    try:
        for attempt in range(_MAX_RESTARTS + 1):
            # What can't be put right by running what is stale is put right by running everything.
            session, code = _settled(request, opened, check, remote, attempt == _MAX_RESTARTS, session)
            check = Check()  # make has been at work
            ruined = session.ruined
            if ruined and session.again:
                say(f"{request.out}: products can't be brought to their last versions; build again")
                code = code or EXIT_FAILED
            if ruined or not session.again:
                break
        else:
            say(f"{request.out}: products can't be brought to their last versions; remove them (make clean) and build")
            code = code or EXIT_FAILED
        if session is not None:
            session.say_what_ran(code)
    except Damaged as damage:
        ruined = str(damage)
        raise StateUnusable(f"{state.database}: {damage}") from damage
    finally:
        close(opened, state, ruined, complete=code == 0 and request.renumber)
        if code != 0 and not opened.recording.products:
            state.unmake()
        state.release()
    return code


def _settled(
    request: Request, opened: Opened, check: Check, remote: "RemoteStore | None", anew: bool, before: "Session | None"
) -> tuple["Session", int]:
    """A build; and again with make where it could not do without, and for each product that turned out to be a source.

    There are only so many of these.
    """
    while True:
        session = Session(request, opened, check, remote, anew, before)
        check = Check()
        code = session.build()
        if not session.again or not (session.roles or session.left is not None):
            return session, code
        before = session


class Session:
    """One evaluation by make, with what comes before and after it.

    again   something could only be put right by another one
    roles   how many products turned out to be sources
    left    what was begun without make, and make has to go on with
    ruined  why the database can't be written and is to be set aside
    """

    def __init__(
        self,
        request: Request,
        opened: Opened,
        check: Check,
        remote: "RemoteStore | None",
        anew: bool,
        before: "Session | None" = None,
    ) -> None:
        """`anew`: nothing that is recorded is believed; `before`: the evaluation that made this one necessary."""
        self.again = False
        self.roles = 0
        self.left: LeftToMake | None = None
        self._anew = anew
        self._again = before is not None
        self._failed = before.left.failed if before is not None and before.left is not None else set()
        self._setting = setting = Setting(request, opened, remote)
        self._check = check
        if setting.manifest is not None:
            setting.disk.know_contents(check.same(setting.manifest), check.since_ns)
        self._preparation = Preparation(setting)
        self._saving = Saving(setting, self._preparation)
        self._before = before._log if before is not None else None
        self._log: Log | None = None
        self._progress: Progress = (
            before._progress
            if before is not None
            else request.progress or for_build(request.quiet, request.drop_in, setting.expected_steps())
        )

    @property
    def ruined(self) -> str:
        """See the class's text."""
        return self._saving.ruined

    def build(self) -> int:
        """Prepare the tree and the view, run make, record."""
        setting, preparation = self._setting, self._preparation
        request, recording, db = setting.request, setting.recording, setting.db
        if recover(db, setting.archive, recording, directory, setting.places):
            if not request.drop_in:
                say(f"{request.state.path}: the machine went down in the last build; everything is built again")
            db.put_all({b"D": b"1"})
        preparation.distrust_misfits()
        distrust = self._anew or bool(db.get(b"D"))
        preparation.moved()
        recording.build = max(recording.build, last_null(request.state.path)[0]) + 1
        first_contact = not recording.goals or (len(recording.goals) == 1 and not setting.goal.products)
        run_dir = directory.make(request.state.path)
        begin(db, run_dir, directory.boot_id(), request.key)
        try:
            engine, code, signal, saved = self._evaluate(run_dir, distrust, first_contact)
        except StateUnusable:
            directory.remove(run_dir)
            raise
        if self.left is not None and self.left.touched:
            wrong = saved  # else there is no way on: who knows what is torn
        else:
            wrong = tell_what_was_replaced(setting, preparation, engine.evaluation.tree, code)
        # After any other exception, and when the end could not be saved, the run directory stays: it tells the next
        # build what this one wrote.
        if saved:
            directory.remove(run_dir)
        self.again = (engine.evaluation.restart or wrong) and not signal
        self.roles = engine.evaluation.roles
        return EXIT_INTERRUPTED if signal == SIGINT else code or (128 + signal if signal else 0)

    def say_what_ran(self, code: int) -> None:
        """The build is over."""
        if self._log is not None:
            self._progress.close(self._log.counts, code)

    def _evaluate(self, run_dir: str, distrust: bool, first_contact: bool) -> tuple[Engine, int, int, bool]:
        """Make's part: the engine, the exit status, the signal that told it to end (or 0), whether all was saved."""
        setting, preparation, recording = self._setting, self._preparation, self._setting.recording
        view = preparation.make_view(run_dir)
        known = KnownRecords(os.fsencode(run_dir))
        tree = Tree(recording.tables, setting.disk, recording.seq, view.made, known)
        preparation.own_up()
        preparation.learn_ages()
        preparation.hide(tree, view)
        preparation.believe(tree, self._check)
        library = loadable(run_dir)
        done: tuple[int, Running, Result] | None = None
        engine = setting.engine(tree, run_dir, library, self._progress.step)
        self._progress.watch(engine.ending.log.counts)
        engine.forced |= distrust
        engine.failed = self._failed
        self._log = engine.ending.log
        if self._before is not None:
            self._log.begin_after(self._before)
        journal = Journal(os.fsencode(run_dir))
        engine.restoring.about_to_write = journal.note
        engine.altered = set(preparation.altered)
        engine.evaluation.give_up = view.give_up
        supervisor = Supervisor(engine, run_dir, library, lambda: self._saving.save(engine), setting.remote)
        try:
            with supervisor.heeding_signals():
                if not (distrust or preparation.altered or preparation.discarded or self._again):
                    done = self._without_make(engine, supervisor)
                if self.left is not None and self.left.touched:
                    saved = self._saving.leave(engine)
                    return engine, 0 if supervisor.signals else EXIT_FAILED, supervisor.signals, saved
                code, root, result = done or run_make(setting, engine, supervisor)
                engine.evaluation.restart |= view.full | preparation.begin_anew(engine)
                first = first_contact and not recording.sources
                saved = self._saving.finish(engine, root, result, code, first)
        finally:
            supervisor.close()
            view.close()
            known.close()
            journal.close()
            if setting.store is not None:
                setting.store.close()
        return engine, code, supervisor.signals, saved

    def _without_make(self, engine: Engine, supervisor: Supervisor) -> tuple[int, Running, Result] | None:
        """The build, if it can do without make; else `left` says why not, where that was tried."""
        known = known_course(self._setting, engine)
        try:
            return None if known is None else (0, *replay(self._setting, engine, supervisor, known))
        except LeftToMake as left:
            self.left = left
            return None
