"""SHA-256 of contents whose version is known, remembered for all trees of a user: what names them on other machines.

One file of records: a version (26 bytes), SHA-256 (32), and six bytes that tell whether it is whole.
"""

import hashlib
import os

from hashmake.model import digest

_RECORD = digest.FILE_SIZE + 32 + 6
_MOST = 64 << 20  # bytes of the file; beyond it begins anew


class Sums:
    """See the module's text. `top`: the directory of the store."""

    def __init__(self, top: str) -> None:
        self._file = os.path.join(top, "sums")
        self._known: dict[bytes, bytes] = {}
        self._new: list[bytes] = []
        try:
            with open(self._file, "rb") as file:
                self._take(file.read(_MOST))
        except OSError:
            pass  # none yet

    def _take(self, data: bytes) -> None:
        for at in range(0, len(data) - _RECORD + 1, _RECORD):
            record = data[at : at + _RECORD]
            if digest.of_bytes(record[:-6])[:6] != record[-6:]:
                continue
            self._known[record[: digest.FILE_SIZE]] = record[digest.FILE_SIZE : -6]

    def known(self, version: bytes) -> bytes | None:
        """Of a version; None: its content has to be read."""
        return self._known.get(version)

    def learn(self, version: bytes, content: bytes) -> bytes | None:
        """Of a content that should have this version; None: it has another."""
        if version[2:] != len(content).to_bytes(8, "little") + digest.of_bytes(content):
            return None
        found = hashlib.sha256(content).digest()
        self.note(version, found)
        return found

    def note(self, version: bytes, sha256: bytes) -> None:
        """Remember it."""
        if self._known.setdefault(version, sha256) == sha256:
            body = version + sha256
            self._new.append(body + digest.of_bytes(body)[:6])

    def close(self) -> None:
        """Write what is new."""
        if not self._new:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self._file, flags, 0o600)
            try:
                if os.fstat(fd).st_size > _MOST or os.fstat(fd).st_size % _RECORD:
                    os.ftruncate(fd, 0)
                os.write(fd, b"".join(self._new))
            finally:
                os.close(fd)
        except OSError:
            pass  # they are read again the next time
        self._new = []
