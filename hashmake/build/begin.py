"""One build: the null check first, and only if that fails everything else.

What a null build does not need is imported in session.py, after the check.
"""

import os
import sys
import time
from typing import TYPE_CHECKING

from hashmake import kbuild
from hashmake.disk import piped
from hashmake.errors import EXIT_INTERNAL, Damaged, StateUnusable
from hashmake.model.goal import asked_digest, goal_key, input_digest
from hashmake.model.makeargs import MakeArguments
from hashmake.model.selection import EVERY, unpack
from hashmake.null import check as nullcheck
from hashmake.state import database, place
from hashmake.state.directory import StateDirectory

if TYPE_CHECKING:
    from hashmake.progress.live import Progress


class Request:
    """What is asked for: make's words, where, with which environment, and where the state goes.

    kbuild      whether the makefiles are Kbuild's
    configured  where the tree's own products go; another place than `out` for a module that lies elsewhere
    query     goals are named, and nothing but what they print is to be seen
    texts     digests of makefiles that are no files; descriptors: where make reads them
    asked     digest of everything that may change the result and is neither file nor variable of the environment
    inputs    the same with the environment, as far as it counts
    again     keys of steps that run though they are current (`hashmake verify`)
    progress  who watches; None: whoever fits standard error
    """

    def __init__(self, words: list[str], state_dir: str | None, drop_in: bool) -> None:
        self.words = words
        self.drop_in = drop_in
        self.start = os.getcwd()
        self.arguments = MakeArguments(words, os.environ.get("MAKEFLAGS", ""))
        self.make = find_make()
        self.where = self.arguments.directory(self.start)
        self.kbuild = kbuild.recognise(os.fsencode(self.where))
        self.out = self.arguments.output_directory(self.start, dict(os.environ), modules=self.kbuild)
        self.configured = self.arguments.tree_directory(self.where, dict(os.environ))
        state_dir = state_dir or os.environ.get("HASHMAKE_STATE_DIR")
        self.place = place.choose(self.out, state_dir)
        self.state = StateDirectory(self.place.path)
        self.texts: list[bytes] = []
        self.descriptors: list[int] = []
        self.key = goal_key(self.arguments, self.where, self.out)
        self.take_words()
        self.quiet = drop_in or self.arguments.silent
        # `make -s version` is called for what it prints. Kbuild's steps say nothing then, and there are many.
        self.query = self.arguments.terse and bool(self.arguments.goals) and not self.kbuild
        self.began = time.monotonic()
        self.again: frozenset[bytes] = frozenset()
        self.progress: Progress | None = None

    def take_texts(self) -> None:
        """Read the makefiles that come through a descriptor: the same goal, whatever they say, but other inputs."""
        makefiles = self.arguments.makefiles
        for at, makefile in enumerate(makefiles):
            fd = piped.descriptor(makefile)
            if fd is not None:
                makefiles[at] = "-"
                self.texts.append(piped.take(fd))
                self.descriptors.append(fd)
            elif piped.gives_once(os.path.join(self.where, makefile)):
                self.texts.append(os.urandom(16))
        if self.texts:
            self.key = goal_key(self.arguments, self.where, self.out)
            self.take_words()

    def path(self, name: str) -> str:
        """The absolute path of a file that one of make's words names."""
        return os.path.normpath(os.path.join(self.where, name))

    def rewind(self) -> None:
        """Before make is started."""
        for fd in self.descriptors:
            piped.rewind(fd)

    def take_words(self) -> None:
        """After the words changed: what is asked for, as a digest."""
        printing = kbuild.PRINTING if self.kbuild else frozenset[str]()
        self.asked = asked_digest(self.arguments, os.fsencode(self.make or ""), printing, self.texts)
        self.choose(None)

    def choose(self, names: bytes | None) -> None:
        """Let those variables of the environment count that this goal can name, as recorded; None: all."""
        where = os.fsencode(self.where)
        self.inputs = input_digest(self.asked, dict(os.environb), where, unpack(EVERY if names is None else names))

    def key_at(self, here: str, there: str) -> bytes:
        """The key of the same goal where directory `here` is called `there`."""
        where, out = (there + d[len(here) :] if (d + "/").startswith(here + "/") else d for d in (self.where, self.out))
        return goal_key(self.arguments, where, out)


class Compared:
    """A null build: how many paths were compared, and the goals that are up to date."""

    def __init__(self, paths: int, goals: list[bytes]) -> None:
        self.paths = paths
        self.goals = goals


def find_make() -> str | None:
    """The make that a shell would start."""
    for directory in os.environ.get("PATH", os.defpath).split(":"):
        for name in ("make", "gmake"):
            path = os.path.join(directory or ".", name)
            if os.access(path, os.X_OK) and not os.path.isdir(path):
                return path
    return None


def say(text: str) -> None:
    """One line of ours."""
    try:
        sys.stdout.flush()
        print("hashmake: " + text, file=sys.stderr, flush=True)
    except OSError:
        pass


def run(words: list[str], state_dir: str | None = None, drop_in: bool = False) -> int:
    """Build; the exit status is make's. `drop_in`: as hmake, with no line of ours."""
    request = Request(words, state_dir, drop_in)
    if request.make is None:
        say("make: not found in PATH; install GNU make")
        return 127
    if inside():
        # A recipe called us: its steps are traced already.
        return plain_make(request)
    request.take_texts()
    if request.arguments.question:
        return _question(request)
    if request.arguments.dry_run and request.state.exists():
        return _dry_run(request)
    if request.arguments.no_build or not os.path.isdir(request.where):
        return plain_make(request)
    try:
        return build(request)
    except StateUnusable as error:
        say(f"{error}; going on as plain make")
        request.state.doubt(True)
        return plain_make(request)


def inside() -> bool:
    """Whether a step of another build started us. The interposer hides that from the environment that programs see."""
    try:
        with open("/proc/thread-self/environ", "rb") as block:
            return b"\0HASHMAKE_RUN=" in b"\0" + block.read()
    except OSError:
        return "HASHMAKE_RUN" in os.environ


def plain_make(request: Request) -> int:
    """Become make; returns only when there is none."""
    sys.stdout.flush()
    sys.stderr.flush()
    request.rewind()
    if request.make is not None:
        import signal

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores them, and exec would hand that on
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execv(request.make, ["make", *request.words])
    return EXIT_INTERNAL


def build(request: Request) -> int:
    """The null check, and where that fails make under the supervisor. The exit status. Raises StateUnusable."""
    state = request.state
    if request.place.refused:
        raise StateUnusable(request.place.refused)
    if state.exists():
        state.check()
        state.lock()
        asked = request.arguments
        if not (asked.always_make or asked.evaluate or asked.new_files or asked.old_files):
            checked = _null(request)
            if checked is not None:
                state.remember(request.start, request.words)
                _say_null(request, checked)
                state.release()
                return 0
    from hashmake.build.evaluate import evaluate

    return evaluate(request)


def _null(request: Request) -> Compared | None:
    """What was compared, if nothing changed since the last complete build; None: not known to be so."""
    try:
        if not request.state.sealed():
            return None  # the session looks at it more closely
        db = database.Database(request.state.database, readonly=True)
    except Damaged:
        return None  # the session sets it aside
    try:
        if db.get(b"O") or _given_back(request):
            return None
        request.choose(db.get(b"N" + request.key + request.asked))
        stored = db.get(b"n" + request.key + request.inputs)
        if stored is None or (request.query and db.get(b"s" + request.key + request.inputs)):
            return None
        manifest = database.unpack_manifest(stored)
        if nullcheck.first_difference(manifest) is not None:
            return None
        database.save_null(request.state.path, db, request.words, int((time.monotonic() - request.began) * 1e6))
        return Compared(
            len(manifest[0]) + len(manifest[2]) + len(manifest[4]) + len(manifest[5]) + len(manifest[9]), manifest[8]
        )
    except Damaged:
        return None
    finally:
        db.close()


def _given_back(request: Request) -> bool:
    """Whether somebody gave a path back to the build since the last one (`hashmake keep --undo`)."""
    if not os.path.exists(os.path.join(request.state.path, "mine")):
        return False  # nearly always; keep.py takes long to load
    from hashmake.state.keep import load

    return not all(load(request.state.path).values())


def _say_null(request: Request, compared: Compared) -> None:
    if request.drop_in:
        if not request.arguments.silent:
            for goal in compared.goals:
                sys.stdout.buffer.write(b"make: '" + goal + b"' is up to date.\n")
    elif not request.quiet:
        wall = time.monotonic() - request.began
        say(f"nothing changed ({compared.paths:,} paths compared in {wall:.2f} s); make was not started")


def _dry_run(request: Request) -> int:
    """What make -n would print for the steps that changes of content make necessary. Writes nothing."""
    state = request.state
    state.check()
    state.lock()
    if not state.sealed():
        state.release()
        return plain_make(request)
    from hashmake.build.evaluate import dry_run

    return dry_run(request)


def _question(request: Request) -> int:
    """Make -q: 0 when nothing has to run. Writes nothing."""
    state = request.state
    if state.exists():
        state.check()
        state.lock()
        words = [w for w in request.arguments.meaning if w not in ("-q", "--question")]
        request.arguments.meaning = words
        request.take_words()
        known, current = _known_current(request)
        state.release()
        if current:
            return 0
        if known:
            return 1
    return plain_make(request)


def _known_current(request: Request) -> tuple[bool, bool]:
    """Whether this goal was built before, and whether nothing changed since."""
    try:
        db = database.Database(request.state.database, readonly=True)
    except (Damaged, StateUnusable):
        return False, False
    try:
        request.choose(db.get(b"N" + request.key + request.asked))
        stored = db.get(b"n" + request.key + request.inputs)
        if stored is None:
            return bool(db.get(b"g" + request.key)), False
        return True, nullcheck.first_difference(database.unpack_manifest(stored)) is None
    except Damaged:
        return False, False
    finally:
        db.close()
