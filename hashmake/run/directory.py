"""Run directories: what one build's processes share, in memory where there is room for it.

While a build runs its directory tells what each step has written; when the build was killed, it tells the next one.
After a crash of the machine it is gone.
"""

import os
import re
import stat
import time

from hashmake.disk.removing import remove_tree
from hashmake.errors import StateUnusable
from hashmake.model.letters import ABSENT, BEGUN, MOVEDIR_TO, WRITE
from hashmake.run import strays
from hashmake.run.trace import TraceFile
from hashmake.state.directory import private

_GONE = ".gone"  # behind the name of a directory that is being removed
_NAME = re.compile(r"hashmake-\d+-[0-9a-f]{12}")
_LONGEST = 70  # bytes: a socket's name has room for 107
_YOUNG_S = 3600
_ROOM = 32 << 20  # the view of a small build takes 8 MB, each step that runs 64 kB
_WRITES = (WRITE, MOVEDIR_TO, BEGUN)


def boot_id() -> str:
    """Changes when the machine starts."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as f:
            return f.read().strip()
    except OSError:
        return "unknown"


def make(state_path: str) -> str:
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
            with private(os.path.join(path, "mounts")) as mounts:
                mounts.write(os.fsencode(_mounts()))
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
    if base not in ("/dev/shm", "/tmp", state_path) or not _NAME.fullmatch(name):  # noqa: S108  # see make
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
            if name.endswith(_GONE):
                remove_tree(path)
                continue
            with open(os.path.join(path, "state")) as owner:
                tree = owner.read()  # empty: another build has just made it
                if tree and not os.path.isdir(tree) and _dead(path):
                    remove(path)
        except OSError:
            continue  # another build is just making or removing it


def _dead(run_dir: str) -> bool:
    try:
        os.lstat(os.path.join(run_dir, "view"))
    except OSError:
        return _old(run_dir)  # its view is perhaps just being made
    if strays.lives(run_dir):
        return False
    try:
        with open(os.path.join(run_dir, "mounts")) as mounts:
            here = mounts.read() == _mounts()
    except OSError:
        here = False
    # Seen from another mount namespace the tree may be there, and the build that recovers is perhaps at it.
    return here or _old(run_dir)


def _old(run_dir: str) -> bool:
    latest = max(os.lstat(path).st_mtime for path in (run_dir, os.path.join(run_dir, "t")))
    return time.time() - latest > _YOUNG_S


def _mounts() -> str:
    """Names the mount namespace of this process; "" where there is no /proc."""
    try:
        return os.readlink("/proc/self/ns/mnt")
    except OSError:
        return ""


def remove(path: str) -> None:
    """Remove what a build left in its run directory; missing is fine, and so is a process that still writes there.

    It loses its name before the first file goes: who reads it meanwhile finds all of it or sees that it is not there.
    """
    try:
        if os.path.isdir(path):
            os.rename(path, path + _GONE)
            remove_tree(path + _GONE)
    except OSError:
        pass  # a later build sweeps it away


def remains(run_dir: str, state_path: str, boot: str) -> list[dict[bytes, bool]] | None:
    """What the steps of a killed build wrote or were just about to, each path with whether nothing was there before.

    None where that is not known any more: the machine went down. `boot`: its boot_id when the build began. Processes of
    that build that are still at work are ended first.
    """
    traces = os.path.join(run_dir, "t")
    if not _is_ours(run_dir, state_path):
        return None
    if boot != boot_id() or not os.path.isdir(traces):
        remove(run_dir)
        return None
    strays.end(run_dir)
    try:
        found = [_written(os.fsencode(os.path.join(traces, name))) for name in os.listdir(traces)]
    except FileNotFoundError:
        return None
    # Another build that does not see this tree may have removed it meanwhile (see sweep).
    return found if os.path.isdir(traces) else None


def _written(path: bytes) -> dict[bytes, bool]:
    """The paths that a step wrote or was just about to, each with whether nothing was there before."""
    found: dict[bytes, bool] = {}
    missed = set()
    for record in TraceFile(path).remains():
        if record[:1] == ABSENT:
            missed.add(record[1:])
        elif record[:1] in _WRITES:
            found.setdefault(record[1:], record[1:] in missed)
    return found
