"""How old files are that git tracks, that nobody has changed, and that no build has looked at yet."""

import struct
import time

from hashmake.run.view import first_sight
from hashmake.state.database import Database

_KEY = b"A"
_PAIR = struct.Struct("<QQ")
_MOST = 512  # builds that are remembered


class Ages:
    """Moments by real times (ns) in git's index, from the database.

    What was there when the tree was first seen is of one age. What git has written since (a pull, another branch) is of
    the moment of the first build after that, as is everything else that the same pull changed.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        data = db.get(_KEY) or b""
        self._first: int = int.from_bytes(data[:8], "little")
        self._builds: list[tuple[int, int]] = list(_PAIR.iter_unpack(data[8:]))

    def begin(self, newest: int, seq: int) -> None:
        """A build begins: the newest of those times, and the moment of what has changed before this build."""
        if not self._first:
            self._first = newest
        self._builds.append((time.time_ns(), seq))
        if len(self._builds) > _MOST:
            del self._builds[: _MOST // 2 : 2]  # of old builds every second one will do
        self._db.put_all(
            {_KEY: self._first.to_bytes(8, "little") + b"".join(_PAIR.pack(*each) for each in self._builds)}
        )

    def moment(self, mtime_ns: int) -> int:
        """The moment of a file with this time."""
        if mtime_ns > self._first:
            for began_ns, seq in self._builds:
                if mtime_ns <= began_ns:
                    return seq
        return first_sight(self._first)
