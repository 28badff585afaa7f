"""Reading the recording for reports: never writes, never waits for a build that runs."""

import json
import os
import zlib
from typing import Any

from hashmake.errors import Damaged, UserError
from hashmake.model.recording import Recording
from hashmake.reports.log import of_null
from hashmake.state.archive import Archive
from hashmake.state.database import Database
from hashmake.state.nulllog import last_null


def open_database(state: str) -> Database:
    """The database of a state directory. Raises UserError."""
    path = os.path.join(state, "db")
    if not os.path.exists(os.path.join(path, "data.mdb")):
        raise UserError(f"{state}: nothing recorded here; run `hashmake build` first, or give -C or --state-dir")
    try:
        return Database(path, readonly=True)
    except Damaged as damage:
        raise UserError(f"{path}: {damage}; the next `hashmake build` starts from nothing") from damage


def last_log(state: str) -> dict[str, Any]:
    """The log of the last build, keys as promised."""
    db = open_database(state)
    try:
        logs = db.logs()
    finally:
        db.close()
    null_build, null_log = last_null(state)
    if null_build > (logs[-1][0] if logs else 0):
        return of_null(null_build, null_log)
    if not logs:
        raise UserError(f"{state}: no build has ended here yet; run `hashmake build` first")
    return decode(*logs[-1])


def decode(build: int, data: bytes) -> dict[str, Any]:
    """One stored log."""
    found: dict[str, Any] = json.loads(zlib.decompress(data))
    found["build"] = build
    return found


def load(state: str) -> tuple[Database, Recording]:
    """The recording, and the database that its results come from."""
    db = open_database(state)
    try:
        return db, Archive(db).load()
    except Damaged as damage:
        raise UserError(f"{state}/db: {damage}; the next `hashmake build` starts from nothing") from damage
