"""Strays: processes of a build that outlive the launcher, the make or the hashmake that was to wait for them.

They go on writing: into products that the build has already given an account of, or beside the next build. So they are
ended, and only then is what they wrote looked at. A process that has put itself into a session of its own is a daemon
(a compile server) and is left alone. One in another pid namespace can't be seen, let alone ended; but every traced
process holds a lock on the view for as long as it lives, and so it can be waited for.
"""

import fcntl
import os
import signal
import sys
import time

PATIENCE_S = 2.0  # a make that is told to end removes the targets it was making
LOOKS = 3  # how often in a row, 10 ms apart, none must be found: in exec a process has no environment for a moment


def find(run_dir: str, step: int | None = None, daemons: bool = False) -> list[int]:
    """Pids of a build's processes, or of one step's: those that carry its name in their environment.

    `daemons`: those in sessions of their own, instead of the others.
    """
    wanted = {os.fsencode(f"HASHMAKE_RUN={run_dir}")}
    if step is not None:
        wanted.add(b"HASHMAKE_STEP=%d" % step)
    try:
        with open(os.path.join(run_dir, "session")) as file:
            session = int(file.read())
        names = os.listdir("/proc")
    except (OSError, ValueError):
        return []
    found = []
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                carries = wanted <= set(file.read().split(b"\0"))
            if carries and (os.getsid(int(name)) != session) == daemons:
                found.append(int(name))
        except OSError:
            continue  # another user's, or it has just ended
    return found


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal all of them."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end(run_dir: str) -> None:
    """End every process of a build whose hashmake is gone."""
    hard_at = time.monotonic() + PATIENCE_S
    told: set[int] = set()
    calm = 0
    said = False
    while calm < LOOKS:
        pids = find(run_dir)
        unseen = not pids and lives(run_dir) and not find(run_dir, daemons=True)
        calm = 0 if pids or unseen else calm + 1
        if unseen and not said and time.monotonic() > hard_at:
            said = True
            why = f"processes of a killed build are still at work in another container ({run_dir})"
            print(f"hashmake: {why}; waiting for them, end them", file=sys.stderr, flush=True)
        if time.monotonic() > hard_at:
            send(pids, signal.SIGKILL)
        else:
            send([pid for pid in pids if pid not in told], signal.SIGTERM)
            told.update(pids)
        time.sleep(0.01)


def lives(run_dir: str) -> bool:
    """Whether a process of the build, or its hashmake, holds its lock, wherever it runs."""
    try:
        fd = os.open(os.path.join(run_dir, "view"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
