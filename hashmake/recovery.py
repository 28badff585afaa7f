"""What an earlier build that was killed left behind: its run directory tells what it was writing.

"Once written, derived" (design.md, rule 2): a path that a step of the dead build wrote is a product, torn or whole,
though its step was never recorded. The run directory lies in memory (/dev/shm); after a crash of the machine it is
gone, and then nothing in the tree that is not recorded can be believed: the next build runs everything.
"""

import os

from hashmake import trace
from hashmake.archive import Archive
from hashmake.database import Database
from hashmake.errors import Protocol, StateUnusable
from hashmake.recording import Recording
from hashmake.statedir import remove_run_directory
from hashmake.tables import NO_VALUE
from hashmake.trace import TraceFile

_WRITES = (trace.WRITE, trace.MOVEDIR_TO)


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
    for base in ("/dev/shm", state_path):  # noqa: S108  # a private directory with an unguessable name is made in it
        path = os.path.join(base, f"hashmake-{os.geteuid()}-{os.urandom(6).hex()}")
        try:
            os.mkdir(path, 0o700)
            os.mkdir(os.path.join(path, "t"), 0o700)
            with open(os.path.join(path, "state"), "w") as owner:
                owner.write(state_path)
            _sweep(base)
        except OSError:
            continue
        return path
    raise StateUnusable(f"{state_path}: no place for the run directory, nor in /dev/shm; is the disk full?")


def _sweep(base: str) -> None:
    """Remove run directories of dead builds whose tree is gone: nobody will ever recover from them."""
    mine = f"hashmake-{os.geteuid()}-"
    for name in os.listdir(base):
        if not name.startswith(mine):
            continue
        path = os.path.join(base, name)
        try:
            with open(os.path.join(path, "state")) as owner:
                if not os.path.isdir(owner.read()):
                    remove_run_directory(path)
        except OSError:
            continue  # another build is just making or removing it


def recover(db: Database, archive: Archive, recording: Recording) -> bool:
    """Learn from what a killed build left; True when nothing unrecorded in the tree can be believed."""
    marker = db.get(b"O")
    if not marker:
        return False
    goal = recording.goal(marker[:16])
    run_dir, _, boot = os.fsdecode(marker[16:]).partition("\0")
    traces = os.path.join(run_dir, "t")
    if boot != boot_id() or not os.path.isdir(traces):
        return True
    for name in os.listdir(traces):
        for path in _written(os.fsencode(os.path.join(traces, name))):
            pid = recording.tables.path(path)
            if pid in recording.sources:
                continue
            version, moment = recording.products.get(pid, (NO_VALUE, recording.seq))
            if pid not in goal.products:
                recording.product(goal, pid, version, version, moment)
    archive.save(recording, archive.moments(recording))
    remove_run_directory(run_dir)
    return False


def survives(directory: str) -> bool:
    """Whether a child process can read every record: a damaged file may kill its reader (SIGBUS, abort)."""
    if not os.path.exists(os.path.join(directory, "data.mdb")):
        return True
    child = os.fork()
    if child == 0:
        code = 1
        try:
            db = Database(directory, readonly=True)
            db.scan(b"")
            Archive(db).load()
            code = 0
        except Exception:  # noqa: BLE001  # whatever it is, the database can't be used
            code = 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _written(path: bytes) -> list[bytes]:
    file = TraceFile(path)
    try:
        return [r[1:] for r in file.records(final=False) if r[:1] in _WRITES]
    except Protocol:
        return []
    finally:
        file.close()
