"""What all stages of one build work with."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from hashmake.disk.disk import Disk
from hashmake.disk.removing import remove_tree
from hashmake.judge.engine import Engine
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import Running
from hashmake.judge.tree import Tree
from hashmake.kbuild.plugin import Kbuild
from hashmake.model.makeargs import without_jobs
from hashmake.model.plugin import AnyProject, Plugin
from hashmake.model.result import QUERY, SAYS
from hashmake.model.roots import Roots
from hashmake.null.manifest import LAZY, unpack_manifest
from hashmake.request import DEFAULT_MAKEFILES, Request
from hashmake.run.trace import traces_in
from hashmake.state.keep import Keeper
from hashmake.state.opened import Opened
from hashmake.state.secret import sealer
from hashmake.store.local import LocalStore
from hashmake.store.place import StorePlace, choose
from hashmake.tell import say

if TYPE_CHECKING:
    from hashmake.store.remote import RemoteStore


class Setting:
    """What is asked for, what is known, and who knows the project.

    keeper   copies of what a person wrote
    store    of what steps left, for all trees of this user; None: off
    remote   what other machines share; None: off
    names    of the variables that count for this goal, packed, as known before the build
    manifest  of the last complete build of this goal; None: there was none that counts
    own      the state directory
    places   directories whose leftovers may be removed; tables: directories in which the project's tables of names lie
    """

    def __init__(self, request: Request, opened: Opened, remote: "RemoteStore | None" = None) -> None:
        self.request = request
        self.db, self.archive, self.recording = opened.db, opened.archive, opened.recording
        self.goal = self.recording.goal(request.key)
        self.keeper = Keeper(request.state.path, request.out, self.recording.build + 1)
        self.own = os.fsencode(request.state.path)
        self.disk = Disk(frozenset({self.own}))
        complete = request.complete()
        self.names = complete.names()
        request.choose(self.names)
        stored = complete.manifest(request.inputs)
        self.manifest = unpack_manifest(stored) if stored else None
        if self.manifest is not None:
            self.disk.know_looks(*self.manifest[LAZY:])
        self.store = _store(request)
        self.remote = remote
        self.places = tuple(os.fsencode(d) for d in (request.where, request.out))
        self.tables = tuple(os.fsencode(d) for d in (request.where, request.configured))
        self.plugin: Plugin = Kbuild(self.disk) if request.kbuild else AnyProject()

    def expected_steps(self) -> int:
        """How many steps the last build of this goal had; 0: not known."""
        rid = self.goal.root_for(self.request.inputs) or (self.goal.roots[-1][1] if self.goal.roots else None)
        root = self.recording.result(rid) if rid is not None else None
        return root.steps if root is not None else 0

    def engine(self, tree: Tree, run_dir: str, library: str, on_step: Callable[[Running], None]) -> Engine:
        """An engine for one evaluation. `library`: as loadable() gave it."""
        request = self.request
        evaluation = Evaluation(self.recording, self.goal, tree, self.disk, self.plugin, self.places)
        engine = Engine(
            evaluation,
            traces_in(os.fsencode(run_dir)),
            self.own,
            self.plugin.tables(self.tables),
            os.fsencode(library),
            on_step,
            self.store,
            Roots(os.fsencode(request.where), os.fsencode(request.out), os.environb.get(b"PATH", b"")),
            sealer((request.where, request.out)),
            self.remote,
        )
        engine.courses.words = list(map(os.fsencode, without_jobs(request.words)))
        engine.forced = request.arguments.always_make
        engine.again = request.again
        engine.mine = frozenset(p for path in self.keeper.mine if (p := tree.tables.path_ids.get(path)) is not None)
        engine.prints = self._asked_for_what_it_prints()
        for name in request.arguments.new_files:
            tree.assumed_new.add(tree.tables.path(os.fsencode(request.path(name))))
        return engine

    def _asked_for_what_it_prints(self) -> bool:
        """Whether steps that make no files run, current or not: what a goal makes is known when it was built once."""
        root = self.recording.result(self.goal.roots[-1][1]) if self.goal.roots else None
        return root is None or bool(root.flags & QUERY or (root.flags & SAYS and self.request.query))


def _place(request: Request) -> StorePlace:
    return choose((request.where, request.out), os.path.join(request.state.path, "store"))


def _store(request: Request) -> LocalStore | None:
    """The store, unless it is off or can't be used."""
    if request.no_store:
        return None
    tell = (lambda _text: None) if request.drop_in else say
    place = _place(request)
    for line in place.said:
        tell(line)
    if place.refused:
        tell(f"{place.refused}; nothing is kept for other builds")
    if place.refused or not place.top:
        return None
    scratch = os.path.join(request.state.path, "restored")
    if os.path.isdir(scratch):
        remove_tree(scratch)  # a build that was killed left it
    return LocalStore(place.top, scratch, place.limit, tell)


def remote_store(request: Request) -> "RemoteStore | None":
    """What other machines share, for one build; None where nobody does, or there is no store of this machine's."""
    place = _place(request)
    if request.no_store or request.no_remote or place.refused or not place.top or not place.remote_set:
        return None
    from hashmake.settings import Settings
    from hashmake.store import endpoint
    from hashmake.store.remote import RemoteStore

    tell = (lambda _text: None) if request.drop_in else say
    chosen, wrong = endpoint.choose(Settings())
    if wrong:
        tell(wrong)
    if chosen is None:
        return None
    own = LocalStore(place.top, os.path.join(request.state.path, "restored"), place.limit, tell)
    return RemoteStore(chosen, own, place.top, _goal_afar(request), tell)


def _goal_afar(request: Request) -> bytes:
    """What other machines know this goal by: the words, and what the makefile says."""
    from hashmake.model.shared import pack, sum256

    roots = Roots(os.fsencode(request.where), os.fsencode(request.out))
    words = [roots.text_in(os.fsencode(word)) for word in without_jobs(request.words)]
    names = request.arguments.makefiles or DEFAULT_MAKEFILES
    texts = []
    for name in names:
        try:
            with open(request.path(name), "rb") as file:
                texts.append(file.read())
        except OSError:
            continue  # the next one, as make does
    return sum256(pack([*words, b"", *texts[:1]]))
