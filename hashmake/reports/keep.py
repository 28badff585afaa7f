"""`hashmake keep`: say that a path is a person's, a source from now on, or take that back."""

import os
import shutil

from hashmake.errors import UserError
from hashmake.state import keep as store
from hashmake.state.directory import StateDirectory


def keep(state: str, directory: str, path: str, undo: bool) -> str:
    """Note it; what was done, for people. Raises UserError."""
    if not os.path.isdir(os.path.join(state, "db")):
        raise UserError(f"{state}: nothing recorded here; run `hashmake build` first, or give -C or --state-dir")
    full = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
    name = os.fsencode(full)
    directory_of_state = StateDirectory(state)
    directory_of_state.check()
    directory_of_state.lock()  # a build that runs must not see half of it
    try:
        said = store.load(state)
        if undo and not said.get(name) and not os.path.isfile(full):
            raise UserError(f"{path}: is neither kept nor there; `hashmake status` lists what is kept")
        if undo:
            said[name] = False
            text = f"{path}: the build's again: the next build makes it, and keeps a copy of what is there now"
        else:
            said[name] = True
            text = f"{path}: yours from now on, a source: no build replaces it"
            copy = store.latest_copy(state, directory, name)
            if copy is not None:
                shutil.copy2(copy, name)
                text += f"; your last version is back, from {os.path.relpath(os.fsdecode(copy))}"
            elif not os.path.lexists(name):
                raise UserError(f"{path}: not there; write it first, then say `hashmake keep {path}`")
        store.save(state, said)
    except OSError as error:
        raise UserError(f"{error.filename or state}: {error.strerror}; nothing was noted") from error
    finally:
        directory_of_state.release()
    return text
