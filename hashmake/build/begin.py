"""One build: the null check first, and only if that fails everything else.

What a null build does not need is imported by evaluate.py, after the check.
"""

import os
import sys
import time

from hashmake.errors import EXIT_INTERNAL, Damaged, StateUnusable
from hashmake.null.check import Check
from hashmake.request import Request
from hashmake.state.nulllog import save_null
from hashmake.tell import say


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
    check = Check()
    if request.place.refused:
        raise StateUnusable(request.place.refused)
    if state.exists():
        state.check()
        state.lock()
        asked = request.arguments
        evaluates = asked.always_make or asked.evaluate or asked.new_files or asked.old_files
        if not evaluates and _null(request, check):
            state.remember(request.start, request.words)
            _say_null(request, check)
            state.release()
            return 0
    from hashmake.build.evaluate import evaluate

    return evaluate(request, check)


def _null(request: Request, check: Check) -> bool:
    """Whether nothing changed since the last complete build; False: not known to be so."""
    build = request.state.last_build()
    if build is None or _given_back(request):
        return False  # a build did not end in order: what it left is looked at more closely
    if not _agrees(request, check):
        return False
    save_null(request.state.path, build, request.words, int((time.monotonic() - request.began) * 1e6))
    return True


def _agrees(request: Request, check: Check) -> bool:
    """Whether the tree agrees with the manifest; False also where there is none."""
    complete = request.complete()
    names = complete.names()
    if names is None:
        return False
    request.choose(names)
    if request.query and complete.says(request.inputs):
        return False
    return check.agrees(complete.path(request.inputs), request.trust_ctime)


def _given_back(request: Request) -> bool:
    """Whether somebody gave a path back to the build since the last one (`hashmake keep --undo`)."""
    if not os.path.exists(os.path.join(request.state.path, "mine")):
        return False  # nearly always; state/keep.py takes long to load
    from hashmake.state.keep import load

    return not all(load(request.state.path).values())


def _say_null(request: Request, check: Check) -> None:
    if request.drop_in:
        if not request.arguments.silent:
            from hashmake.null.manifest import GOALS, unpack_manifest

            manifest = request.complete().manifest(request.inputs)
            for goal in unpack_manifest(manifest)[GOALS] if manifest else ():
                sys.stdout.buffer.write(b"make: '" + goal + b"' is up to date.\n")
    elif not request.quiet:
        wall = time.monotonic() - request.began
        say(f"nothing changed ({check.compared:,} paths compared in {wall:.2f} s); make was not started")


def _dry_run(request: Request) -> int:
    """What make -n would print for the steps that changes of content make necessary. Writes nothing."""
    state = request.state
    state.check()
    state.lock()
    if not state.sealed():
        state.release()
        return plain_make(request)
    from hashmake.build.dry import dry_run

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
    check = Check()
    if _agrees(request, check):
        return True, True
    _ = check.compared  # all has been looked at: make, which may come in our place, knows no child of ours
    from hashmake.state.database import Database

    try:
        db = Database(request.state.database, readonly=True)
    except (Damaged, StateUnusable):
        return False, False
    try:
        return bool(db.get(b"g" + request.key)), False
    except Damaged:
        return False, False
    finally:
        db.close()
