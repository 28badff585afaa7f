"""make -n over what is recorded: nothing is kept, and nothing in the tree is touched."""

import os

from hashmake.build.make import run_make
from hashmake.build.setting import Setting
from hashmake.judge.tree import Tree
from hashmake.progress.choice import for_build
from hashmake.request import Request
from hashmake.run import directory
from hashmake.run.library import loadable
from hashmake.run.supervisor import Supervisor
from hashmake.run.view import SOURCE, TIME, View
from hashmake.state.archive import Archive
from hashmake.state.database import Database
from hashmake.state.opened import Opened


def dry_run(request: Request) -> int:
    """What make would print for the steps that changes of content make necessary; the exit status is make's."""
    db = Database(request.state.database, readonly=True)
    try:
        archive = Archive(db)
        return _dry(Setting(request, Opened(db, archive, archive.load())))
    finally:
        db.close()
        request.state.release()


def _dry(setting: Setting) -> int:
    """Make sees every path at the moment it last changed."""
    recording, request = setting.recording, setting.request
    progress = request.progress or for_build(request.quiet, request.drop_in, setting.expected_steps())
    run_dir = directory.make(request.state.path)
    try:
        view = View(os.path.join(os.fsencode(run_dir), b"view"), len(recording.products), TIME, recording.seq)
        tree = Tree(recording.tables, setting.disk, recording.seq)
        _show_all(setting, tree, view)
        library = loadable(run_dir)
        engine = setting.engine(tree, run_dir, library, progress.step)
        engine.evaluation.give_up = view.give_up
        supervisor = Supervisor(engine, run_dir, library, lambda: None)
        try:
            return run_make(setting, engine, supervisor)[0]
        finally:
            supervisor.close()
            view.close()
    finally:
        directory.remove(run_dir)


def _show_all(setting: Setting, tree: Tree, view: View) -> None:
    """Every known path at the moment it last changed; a product that is not what its step left is not there."""
    recording = setting.recording
    paths, values = recording.tables.paths, recording.tables.values
    for pid, (version, moment) in [*recording.sources.items(), *recording.products.items()]:
        product = pid in recording.products
        now = setting.disk.own(paths[pid]) if product else setting.disk.content(paths[pid])
        if now == values[version]:
            view.set(paths[pid], SOURCE, moment)
        elif product and pid in setting.goal.products:
            view.set(paths[pid], SOURCE, 0)
        else:
            view.set(paths[pid], SOURCE, tree.seq + 1)
    tree.seq += 1
    view.moment(tree.seq)
