"""The database of a build, opened with the recording in it; one that can't be believed is set aside."""

import os

from hashmake.errors import Damaged, StateUnusable
from hashmake.model.recording import Recording
from hashmake.model.tables import NO_VALUE
from hashmake.state import compact, roll
from hashmake.state.archive import Archive
from hashmake.state.database import Database
from hashmake.state.directory import StateDirectory


class Opened:
    """The database and the recording in it."""

    def __init__(self, db: Database, archive: Archive, recording: Recording) -> None:
        self.db = db
        self.archive = archive
        self.recording = recording
        self._first_new = recording.next_result

    def new_share(self) -> float:
        """How many of the results in the recording are of this build: at least this share."""
        return 1 - (self._first_new - 1) / max(self.recording.next_result - 1, 1)


def open_recording(state: StateDirectory) -> Opened:
    """Open or make the database; one that can't be believed is set aside. Raises StateUnusable."""
    if not state.sealed() and not survives(state.database):
        state.set_aside("it is damaged")
    state.break_seal()
    fresh = not os.path.exists(os.path.join(state.database, "data.mdb"))
    for attempt in (1, 2):
        try:
            db = Database(state.database)
            archive = Archive(db)
            opened = Opened(db, archive, archive.load())
            lost = fresh and (_from_roll(opened.recording, state.path) or os.path.exists(state.aside))
            if lost or state.doubted():
                # What lies in the tree is not known any more, and may be as damaged as the database was.
                db.put_all({b"D": b"1"})
                state.doubt(False)
        except Damaged as damage:
            if attempt == 2:
                raise StateUnusable(f"{state.database}: {damage}") from damage
            state.set_aside(str(damage))
            fresh = True
        else:
            return opened
    raise AssertionError


def _from_roll(recording: Recording, state_path: str) -> bool:
    """After the database was lost: what the builds here had made; whether there was anything."""
    listed = roll.load(state_path)
    for key, path in listed:
        pid = recording.tables.path(path)
        recording.product(recording.goal(key), pid, NO_VALUE, NO_VALUE, recording.seq)
    return bool(listed)


def close(opened: Opened, state: StateDirectory, ruined: str, complete: bool) -> None:
    """Close the database, and seal it or set it aside; write it anew when it has grown much."""
    try:
        too_large = not ruined and complete and compact.grown(opened.db, opened.new_share())
    except (Damaged, StateUnusable):
        too_large = False
    opened.db.close()
    if ruined:
        state.set_aside(ruined)
        return
    if too_large:
        compact.compact(state.database)
    state.seal(opened.recording.build)


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
