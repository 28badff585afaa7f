"""What a build came to is recorded: step by step while make runs, the rest when it has ended."""

import os

from hashmake.build.messages import tell_first_contact, tell_orphans
from hashmake.build.prepare import Preparation
from hashmake.build.setting import Setting
from hashmake.errors import Damaged, StateUnusable
from hashmake.judge.account import Account
from hashmake.judge.engine import Engine
from hashmake.judge.running import Running
from hashmake.model.kinds import NAME, READ
from hashmake.model.names import pack, unpack
from hashmake.model.result import SAYS, Result
from hashmake.model.tables import NO_VALUE, PathId, ValueId
from hashmake.null.gather import null_manifest
from hashmake.reports.log import as_json
from hashmake.state import roll
from hashmake.tell import say


class Saving:
    """See the module's text. `ruined`: why the database can't be written and is to be set aside."""

    def __init__(self, setting: Setting, preparation: Preparation) -> None:
        self.ruined = ""
        self._setting = setting
        self._preparation = preparation
        self._told = False

    def save(self, engine: Engine) -> None:
        """What has ended since the last time."""
        if self.ruined:
            return
        engine.unsaved.settle()
        self._setting.recording.seq = engine.evaluation.tree.seq
        try:
            self._setting.archive.save(self._setting.recording)
            engine.unsaved.drop_traces()
        except (StateUnusable, Damaged) as error:
            # make goes on; what is not saved is tried again with the next save, and what never is runs again.
            self._not_saved(error)

    def _not_saved(self, error: StateUnusable | Damaged) -> None:
        if isinstance(error, Damaged):
            self.ruined = str(error)
        elif not self._told:
            say(str(error))
        self._told = True

    def leave(self, engine: Engine) -> bool:
        """What has ended, where make has to go on: all that is known of it; whether it could be saved."""
        engine.unsaved.settle()
        engine.sharing.tell()
        recording = self._setting.recording
        recording.seq = engine.evaluation.tree.seq
        if self.ruined:
            return False
        try:
            self._setting.archive.save(recording, self._setting.archive.moments(recording) | {b"O": b""})
            if recording.undone:
                self._setting.request.complete().forget_all()
        except (StateUnusable, Damaged) as error:
            self._not_saved(error)
            return False
        return True

    def finish(self, engine: Engine, root: Running, result: Result, code: int, first_contact: bool) -> bool:
        """Make has ended: save all of it; whether that could be done."""
        request, recording = self._setting.request, self._setting.recording
        engine.unsaved.settle()
        engine.sharing.tell()
        recording.seq = engine.evaluation.tree.seq
        complete = code == 0 and not engine.evaluation.restart and not request.arguments.old_files
        if complete:
            self._complete(engine, root, result, first_contact)
        extra = self._setting.archive.moments(recording) | {b"O": b""}
        if code == 0:
            extra[b"D"] = b""
        if self.ruined:
            return False
        try:
            self._setting.archive.save(recording, extra)
            if recording.undone:
                request.complete().forget_all()  # of a chmod no manifest tells whether it has been done again
            if complete:
                self._keep_for_null(engine, root, result)
            remote = self._figures(engine)
            log = as_json(recording.build, request.words, code, engine, request.began, remote)
            self._setting.db.save_log(recording.build, log)
            self._setting.db.sync()
        except (StateUnusable, Damaged) as error:
            self._not_saved(error)
            return False
        if self._preparation.discarded:
            listed = [(g.key, recording.tables.paths[p]) for g in recording.goals.values() for p in g.products]
            roll.rewrite(request.state.path, listed)
        return True

    def _figures(self, engine: Engine) -> dict[str, float] | None:
        """What came of asking other machines."""
        if self._setting.remote is None:
            return None
        figures = self._setting.remote.figures
        figures.local = max(0, engine.ending.log.counts.restored - figures.hits)
        return figures.as_json()

    def _complete(self, engine: Engine, root: Running, result: Result, first_contact: bool) -> None:
        """A build is complete: what the next one may go by."""
        request, recording = self._setting.request, self._setting.recording
        evaluation = engine.evaluation
        for pid in self._preparation.taken - evaluation.tree.made_at.keys():
            recording.becomes_source(pid, evaluation.tree.on_disk(pid), evaluation.began)  # nobody makes it again
        orphans = self._orphans(engine, result)
        request.choose(self._names(engine))
        self._setting.goal.set_root(request.inputs, result)
        self._learn_sources(result, engine)
        if orphans and not request.quiet:
            tell_orphans(self._setting, orphans)
        if first_contact and not request.quiet:
            tell_first_contact(self._setting, recording.tables, root.account, result)

    def _names(self, engine: Engine) -> bytes:
        """The names of variables that count for this goal: also those that an earlier build could name."""
        return pack(unpack(self._setting.names or b"") | engine.environments.root_names)

    def _keep_for_null(self, engine: Engine, root: Running, result: Result) -> None:
        manifest = null_manifest(result, engine.evaluation, self._setting.goal, self._goal_names(root.account))
        request = self._setting.request
        request.complete().save(self._names(engine), request.inputs, manifest, bool(result.flags & SAYS))

    def _goal_names(self, account: Account) -> list[bytes]:
        return [os.fsencode(g) for g in self._setting.request.arguments.goals] or [account.goal or b"all"]

    def _learn_sources(self, result: Result, engine: Engine) -> None:
        recording = self._setting.recording
        tables = recording.tables
        for fid in result.facts:
            if tables.fact_kind[fid] not in (READ, NAME):
                continue
            pid = PathId(tables.fact_path[fid])
            if pid in engine.evaluation.tree.state or pid in recording.products or tables.paths[pid][:1] != b"/":
                continue
            version = ValueId(tables.fact_value[fid])
            if tables.fact_kind[fid] == NAME:
                version = tables.value(engine.evaluation.tree.seen(READ, pid))
            before = recording.sources.get(pid)
            if before is None:
                recording.sources[pid] = (
                    version,
                    self._preparation.first_sight(tables.paths[pid], tables.values[version]),
                )
            elif before[0] != version:
                recording.sources[pid] = (version, engine.evaluation.began)

    def _orphans(self, engine: Engine, result: Result) -> list[bytes]:
        """Products that the last complete build made and this one did not."""
        made = {pid for pid, _pre, post in result.outputs() if post}
        tree = engine.evaluation.tree
        lost = [p for p, (pre, post) in self._setting.goal.complete.items() if post and not pre and p not in made]
        paths = tree.tables.paths
        left = [paths[p] for p in lost if tree.state.get(p) == NO_VALUE and tree.on_disk(p)]
        return sorted(path for path in left if not (self._setting.plugin.only_a_stamp(path) and self._discard(path)))

    def _discard(self, path: bytes) -> bool:
        """Remove an orphan that nobody misses; a directory stays, and is not worth a line."""
        return os.path.isdir(path) or self._setting.disk.remove(path, self._setting.places)
