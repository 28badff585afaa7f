"""What an earlier build that was killed left behind: its run directory tells what it was writing.

"Once written, derived" (design.md, rule 2): a path that a step of the dead build wrote is a product, torn or whole,
though its step was never recorded. The run directory lies in memory (/dev/shm); after a crash of the machine it is
gone, and then nothing in the tree that is not recorded can be believed: the next build runs everything.
"""

import os
from typing import Protocol

from hashmake.disk.disk import Disk
from hashmake.model.recording import Recording
from hashmake.model.tables import NO_VALUE
from hashmake.state.archive import Archive
from hashmake.state.database import Database


class RunDirectories(Protocol):
    """What is asked of run/directory.py."""

    def remains(self, run_dir: str, state_path: str, boot: str) -> list[dict[bytes, bool]] | None: ...  # noqa: D102
    def remove(self, path: str) -> None: ...  # noqa: D102


def begin(db: Database, run_dir: str, boot: str, goal_key: bytes) -> None:
    """Note the run directory of a build in the database, safely on the disk, before anything is written."""
    db.put_all({b"O": goal_key + os.fsencode(f"{run_dir}\0{boot}")})
    db.sync()


def recover(
    db: Database, archive: Archive, recording: Recording, runs: RunDirectories, places: tuple[bytes, ...]
) -> bool:
    """Learn from what a killed build left; True when nothing unrecorded in the tree can be believed.

    What nothing recorded knows (torn, or a temporary of ar or sed) is removed, below `places` only.
    """
    marker = db.get(b"O")
    if not marker:
        return False
    goal = recording.goal(marker[:16])
    run_dir, _, boot = os.fsdecode(marker[16:]).partition("\0")
    left = runs.remains(run_dir, os.path.dirname(db.directory), boot)
    if left is None:
        return True
    for written in left:
        for path, made in written.items():
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
    runs.remove(run_dir)
    return False
