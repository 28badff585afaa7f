"""What an earlier build that was killed left behind: its run directory tells what it was writing.

"Once written, derived" (design.md, rule 2): a path that a step of the dead build wrote is a product, torn or whole,
though its step was never recorded. The run directory lies in memory (/dev/shm); after a crash of the machine it is
gone, and then nothing in the tree that is not recorded can be believed: the next build runs everything.
"""

import os
import re
import stat
import time

from hashmake.disk.disk import Disk
from hashmake.errors import Damaged, StateUnusable
from hashmake.model import letters
from hashmake.model.recording import Recording
from hashmake.model.tables import NO_VALUE
from hashmake.run import strays
from hashmake.run.trace import TraceFile
from hashmake.state.archive import Archive
from hashmake.state.database import Database
from hashmake.state.directory import private, remove_run_directory

_NAME = re.compile(r"hashmake-\d+-[0-9a-f]{12}")
_LONGEST = 70  # bytes: a socket's name has room for 107
_YOUNG_S = 3600
_ROOM = 32 << 20  # the view of a small build takes 8 MB, each step that runs 64 kB
_WRITES = (letters.WRITE, letters.MOVEDIR_TO, letters.BEGUN)


def boot_id() -> str:
    """Changes when the machine starts."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as f:
            return f.read().strip()
    except OSError:
        return "unknown"


def begin(db: Database, state_path: str, goal_key: bytes) -> str:
    """Make the run directory and note it in the database, safely on the disk, before anything is written."""
    path = run_directory(state_path)
    db.put_all({b"O": goal_key + os.fsencode(f"{path}\0{boot_id()}")})
    db.sync()
    return path


def run_directory(state_path: str) -> str:
    """A new run directory. Raises StateUnusable."""
    for base in ("/dev/shm", "/tmp", state_path):  # noqa: S108  # a private directory of an unguessable name in it
        if (base != state_path and _room(base) < _ROOM) or len(os.fsencode(base)) > _LONGEST:
            continue  # containers have little of it
        path = os.path.join(base, f"hashmake-{os.geteuid()}-{os.urandom(6).hex()}")
        try:
            os.mkdir(path, 0o700)
            os.mkdir(os.path.join(path, "t"), 0o700)
            with private(os.path.join(path, "session")) as session:
                session.write(b"%d" % os.getsid(0))
            # Under its name only when it is whole: another build that sweeps just now would take us for dead.
            with private(os.path.join(path, "state.new")) as owner:
                owner.write(os.fsencode(state_path))
            os.rename(os.path.join(path, "state.new"), os.path.join(path, "state"))
            sweep(base)
        except OSError:
            continue
        return path
    raise StateUnusable(f"{state_path}: no place for the run directory, nor in /dev/shm; is the disk full?")


def _is_ours(run_dir: str, state_path: str) -> bool:
    """Whether this is a run directory that a build with this state made: it will be removed with all that is in it."""
    base, name = os.path.split(run_dir)
    if base not in ("/dev/shm", "/tmp", state_path) or not _NAME.fullmatch(name):  # noqa: S108  # see run_directory
        return False
    try:
        st = os.lstat(run_dir)
        with open(os.path.join(run_dir, "state")) as owner:
            return stat.S_ISDIR(st.st_mode) and st.st_uid == os.geteuid() and owner.read() == state_path
    except OSError:
        return False


def _room(base: str) -> int:
    try:
        found = os.statvfs(base)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def sweep(base: str) -> None:
    """Remove run directories of dead builds whose tree is gone: nobody will ever recover from them.

    A tree that can't be seen from here may be there for a build in another container; so it has to be dead, too.
    """
    mine = f"hashmake-{os.geteuid()}-"
    for name in os.listdir(base):
        if not name.startswith(mine):
            continue
        path = os.path.join(base, name)
        try:
            if os.lstat(path).st_uid != os.geteuid():
                continue  # somebody else's, who could change what lies in it while it is removed
            with open(os.path.join(path, "state")) as owner:
                tree = owner.read()  # empty: another build has just made it
                if tree and not os.path.isdir(tree) and _dead(path):
                    remove_run_directory(path)
        except OSError:
            continue  # another build is just making or removing it


def _dead(run_dir: str) -> bool:
    try:
        os.lstat(os.path.join(run_dir, "view"))
    except OSError:
        return time.time() - os.lstat(run_dir).st_mtime > _YOUNG_S  # its view is perhaps just being made
    return not strays.lives(run_dir)


def recover(db: Database, archive: Archive, recording: Recording, places: tuple[bytes, ...]) -> bool:
    """Learn from what a killed build left; True when nothing unrecorded in the tree can be believed.

    What nothing recorded knows (torn, or a temporary of ar or sed) is removed, below `places` only.
    """
    marker = db.get(b"O")
    if not marker:
        return False
    goal = recording.goal(marker[:16])
    run_dir, _, boot = os.fsdecode(marker[16:]).partition("\0")
    traces = os.path.join(run_dir, "t")
    if not _is_ours(run_dir, os.path.dirname(db.directory)):
        return True
    if boot != boot_id() or not os.path.isdir(traces):
        remove_run_directory(run_dir)
        return True
    strays.end(run_dir)
    for name in os.listdir(traces):
        for path, made in _written(os.fsencode(os.path.join(traces, name))).items():
            pid = recording.tables.path(path)
            if pid in recording.sources:
                continue
            if made and pid not in recording.products and pid not in goal.products:
                Disk().remove(path, places)
            version, moment = recording.products.get(pid, (NO_VALUE, recording.seq))
            if goal.complete and pid not in goal.complete:
                # It came and went in the last complete build: what lies there is no source that has taken its place.
                goal.complete[pid] = (NO_VALUE, NO_VALUE)
                goal.changed = True
            if pid not in goal.products:
                recording.product(goal, pid, version, version, moment)
    # The marker goes first: killed in between, the next build would take the missing directory for a machine's crash.
    archive.save(recording, {**archive.moments(recording), b"O": b""})
    remove_run_directory(run_dir)
    return False


def survives(directory: str) -> bool:
    """Whether a child process can read every page: a damaged file may kill its reader (SIGBUS, abort)."""
    if not os.path.exists(os.path.join(directory, "data.mdb")):
        return True
    child = os.fork()
    if child == 0:
        code = 1
        try:
            try:
                db = Database(directory, readonly=True)
            except Damaged:
                os._exit(0)  # whoever opens it next is told so in the same way, and why
            db.scan(b"")
            db.walk()
            Archive(db).load()
            code = 0
        except Exception:  # noqa: BLE001  # whatever it is, the database can't be used
            code = 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _written(path: bytes) -> dict[bytes, bool]:
    """The paths that a step wrote or was just about to, each with whether nothing was there before."""
    found: dict[bytes, bool] = {}
    missed = set()
    for record in TraceFile(path).remains():
        if record[:1] == letters.ABSENT:
            missed.add(record[1:])
        elif record[:1] in _WRITES:
            found.setdefault(record[1:], record[1:] in missed)
    return found
