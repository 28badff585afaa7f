"""Before make runs: what lies in the tree is a product of this goal, of another, or a source, and of what age."""

import os
from collections import ChainMap

from hashmake.build.ages import Ages
from hashmake.build.setting import Setting
from hashmake.disk import git
from hashmake.errors import StateUnusable
from hashmake.judge.added import added_to
from hashmake.judge.engine import Engine
from hashmake.judge.tree import Tree
from hashmake.model.kinds import LIST, NAME, NEVER
from hashmake.model.result import UNSEEN
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId
from hashmake.null.check import Check
from hashmake.null.manifest import LISTED
from hashmake.run.view import FOREIGN, HIDDEN, HIDE, SOURCE, TIME, View, first_sight
from hashmake.tell import say

_BY_NAMES = frozenset((LIST, NAME, NEVER))  # facts that the null check compares in another way, or not at all


class Preparation:
    """The stages before make, in the order in which they stand here.

    altered    products that somebody changed by hand, and what lies there
    taken      of these: shown to make, which may leave them alone
    discarded  a product became a source: the list beside the database is to be written anew
    """

    def __init__(self, setting: Setting) -> None:
        self.altered: dict[PathId, ValueId] = {}
        self.taken: set[PathId] = set()
        self.discarded = False
        self._setting = setting
        # What git tracks and nobody has changed is of one age: git keeps no times. Path -> real time (ns); the moment.
        self._tracked: dict[bytes, int] = {}
        self._unchanged: dict[bytes, int] = {}
        self._ages: Ages  # from learn_ages on

    def distrust_misfits(self) -> None:
        """What plain make left and can't be right is not there for the first build of this goal."""
        if self._setting.goal.products or self._setting.goal.roots:
            return
        recording = self._setting.recording
        known = recording.products.keys() | recording.sources.keys()
        misfits = [
            path
            for path in self._setting.plugin.misfits(self._setting.tables)
            if recording.tables.path(path) not in known
        ]
        for path in misfits:
            recording.product(self._setting.goal, recording.tables.path(path), NO_VALUE, NO_VALUE, recording.seq)
        if misfits and not self._setting.request.quiet:
            out = self._setting.request.out
            first = os.path.relpath(os.fsdecode(misfits[0]), out)
            more = f" and {len(misfits) - 1} more" if len(misfits) > 1 else ""
            say(f"{out}: {first}{more}: not as a clean build makes it; plain make left it so; made again")

    def learn_ages(self) -> None:
        """Which files are of one age, and of which: it stays what it was when this tree was first seen."""
        self._tracked = git.tracked(self._setting.request.where)
        self._ages = Ages(self._setting.db)
        known = self._setting.recording.tables.path_ids
        sources, products = self._setting.recording.sources, self._setting.recording.products
        for path, mtime_ns in self._tracked.items():
            pid = known.get(path)
            if pid is not None and (pid in sources or pid in products):
                continue
            try:
                if os.lstat(path).st_mtime_ns == mtime_ns:
                    self._unchanged[path] = mtime_ns
            except OSError:
                pass  # removed, and not committed yet

    def own_up(self) -> None:
        """What a person has said of paths: a person's own are sources, what was given back is a product again."""
        recording = self._setting.recording
        ids = recording.tables.path_ids
        for path in self._setting.keeper.mine & ids.keys():
            pid = ids[path]
            for goal in recording.goals.values():
                goal.products.discard(pid)
                goal.complete.pop(pid, None)
            recording.products.pop(pid, None)
            self.discarded = True
            self._setting.keeper.watch(path, self._setting.disk.own(path))
        for path in self._setting.keeper.given_back:
            pid = recording.tables.path(path)
            self._setting.keeper.watch(path, self._setting.disk.own(path))
            recording.product(self._setting.goal, pid, NO_VALUE, NO_VALUE, recording.seq)

    def _by_hand(self, pid: PathId, known: ValueId, here: ValueId) -> bool:
        """Whether somebody wrote what lies on the path of a product: no step is known to have made it.

        What git tracks is a source then; of anything else a copy is kept.
        """
        recording = self._setting.recording
        values = recording.tables.values
        if here == known or values[here][:1] != b"F" or not recording.made_by_step(pid, known) or not known:
            return False
        if (pid, here) in recording.makers or recording.reaches(pid, known, here):
            return False
        if recording.tables.paths[pid] in self._tracked:
            recording.becomes_source(pid, here, recording.seq)
            self.discarded = True
        else:
            self.altered[pid] = here
            self._setting.keeper.watch(recording.tables.paths[pid], values[here])
        return True

    def moved(self) -> None:
        """A tree that was moved: what this goal made at the old place are its products here."""
        state = self._setting.request.state.path
        old = self._setting.db.get(b"H")
        if old is not None and os.fsdecode(old) != state:
            before, after = os.path.dirname(os.fsdecode(old)), os.path.dirname(state)
            past = self._setting.recording.goals.get(self._setting.request.key_at(after, before))
            paths = self._setting.recording.tables.paths
            prefix = os.fsencode(before) + b"/"
            for pid in past.products if past is not None else ():
                if paths[pid].startswith(prefix):
                    here = self._setting.recording.tables.path(os.fsencode(after) + paths[pid][len(prefix) - 1 :])
                    self._setting.recording.product(
                        self._setting.goal, here, NO_VALUE, NO_VALUE, self._setting.recording.seq
                    )
        self._setting.db.put_all({b"H": os.fsencode(state)})

    def make_view(self, run_dir: str) -> View:
        """The view, still empty. Raises StateUnusable."""
        recording = self._setting.recording
        expected = len(recording.products) + len(recording.sources)
        try:
            tables = [path for path, _projection in self._setting.plugin.tables(self._setting.tables)]
            return View(os.path.join(os.fsencode(run_dir), b"view"), expected, HIDE | TIME, recording.seq, tables)
        except OSError as error:
            raise StateUnusable(f"{run_dir}: {error.strerror}; is the disk full?") from error

    def hide(self, tree: Tree, view: View) -> None:
        """Hide what builds of this goal made; say when everything else was last seen to change."""
        recording, goal, disk = self._setting.recording, self._setting.goal, self._setting.disk
        paths, values = recording.tables.paths, recording.tables.values
        view.set(self._setting.own, HIDDEN, 0)
        old = {os.fsencode(self._setting.request.path(name)) for name in self._setting.request.arguments.old_files}
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
        if self._unchanged:
            self._ages.begin(max(self._unchanged.values()), tree.seq)
        for path, mtime_ns in self._unchanged.items():
            view.set(path, SOURCE, self._ages.moment(mtime_ns))
        view.moment(tree.seq)
        recording.seq = tree.seq

    def believe(self, tree: Tree, check: Check) -> None:
        """What the null check has seen of paths that this goal does not make need not be looked at again."""
        recording, tables = self._setting.recording, self._setting.recording.tables
        rid = self._setting.goal.root_for(self._setting.request.inputs)
        root = recording.result(rid) if rid is not None else None
        manifest = self._setting.manifest
        if root is None or manifest is None or not check.compared:
            return
        ids = tables.path_ids
        other = {ids.get(path) for path in check.changed(manifest)} | tree.state.keys() | tree.assumed_new
        kinds, paths = tables.fact_kind, tables.fact_path
        tree.holds.update(FactId(f) for f in root.facts if kinds[f] not in _BY_NAMES and paths[f] not in other)
        if self.altered or self.discarded or tree.uncovered:
            return  # then other names are hidden than the manifest leaves out
        # Of a listing the manifest has what is left when this goal's products are hidden: as they are now.
        names = {ids.get(d): b"N" + left for d, left in zip(manifest[LISTED], manifest[LISTED + 1], strict=True)}
        for fid in tables.listings().intersection(root.facts):
            pid, value = PathId(paths[fid]), tables.values[tables.fact_value[fid]]
            if pid not in other and names.get(pid) == value:
                tree.found_listed(FactId(fid))

    def _begin_product(self, tree: Tree, view: View, pid: PathId) -> None:
        recording, goal = self._setting.recording, self._setting.goal
        path = recording.tables.paths[pid]
        here = tree.on_disk(pid)
        known, known_at = recording.products.get(pid, (NO_VALUE, tree.seq))
        began, began_at = goal.began.get(pid, (NO_VALUE, known_at))
        pre, _post = goal.complete.get(pid, (began, NO_VALUE))
        if goal.complete and pid not in goal.complete and here not in (NO_VALUE, known):
            # No rule made it last time and it is not what a rule made: it has become somebody's source.
            goal.products.discard(pid)
            self.discarded = True
            return
        by_hand = self._by_hand(pid, known, here)
        if pid in recording.sources:
            return
        if by_hand and pre == NO_VALUE and not self._setting.request.kbuild:
            self.taken.add(pid)
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

    def begin_anew(self, engine: Engine) -> bool:
        """Remove what a step added to where it should have begun with nothing; whether there was any.

        It had been left in sight (`taken`). A copy of it is kept.
        """
        found = {pid: self.altered[pid] for pid in self.taken if self._setting.keeper.holds(self._path(pid))}
        wrong = added_to(engine.evaluation, engine.ending.ran_now, found)
        for pid in wrong:
            self._setting.disk.remove(self._path(pid), self._setting.places)
        return bool(wrong)

    def _path(self, pid: PathId) -> bytes:
        return self._setting.recording.tables.paths[pid]

    def first_sight(self, path: bytes, version: bytes) -> int:
        """The moment of a source that is recorded for the first time: it keeps its place among those not recorded."""
        if path in self._unchanged:
            return self._ages.moment(self._unchanged[path])
        try:
            return first_sight(os.stat(path).st_mtime_ns) if version else self._setting.recording.seq
        except OSError:
            return self._setting.recording.seq
