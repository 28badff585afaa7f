"""What is kept of complete builds for the null check, in files of its own: a null build opens no database.

In `complete/` of the state directory lie, each sealed with its digest and replaced as a whole:
- for each goal and request, the names of the variables that count for it and its last manifests' inputs, newest last;
- for each of these, its manifest (null/manifest.py), after a byte that tells whether make itself started steps there
  that make no files; and, where ctimes are trusted, what stat said when it was read (../looker/known.c).
"""

import os
import struct

from hashmake.errors import StateUnusable
from hashmake.model import digest
from hashmake.model.packing import pack_list, unpack_list
from hashmake.state.directory import private

_KEPT = 3  # environments and arguments of which a goal's manifest is kept
_SEAL = 16


class Complete:
    """The files of one goal (`key`), asked for in one way (`asked`): 16 bytes each."""

    def __init__(self, state_path: str, key: bytes, asked: bytes) -> None:
        self._directory = os.path.join(state_path, "complete")
        self._key = key
        self._names = self._path(b"N", asked)

    def names(self) -> bytes | None:
        """The names that count, packed (model/names.py); None: there was no complete build, or it is not known."""
        found = self._request()
        return found[0] if found else None

    def path(self, inputs: bytes) -> str:
        """The file that holds the manifest for these inputs, if there is one."""
        return self._path(b"n", inputs)

    def says(self, inputs: bytes) -> bool:
        """Whether make itself starts steps there that make no files."""
        return (_read(self.path(inputs)) or b"")[:1] == b"1"

    def manifest(self, inputs: bytes) -> bytes | None:
        """The manifest for these inputs; None: there is none that can be believed."""
        data = _read(self.path(inputs))
        return data[1:] if data else None

    def save(self, names: bytes, inputs: bytes, manifest: bytes | None, says: bool) -> None:
        """A build is complete. `manifest`: None where it can't be null. Raises StateUnusable."""
        known = [each for each in self._request()[1:] if each != inputs]
        path = self.path(inputs)
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            if manifest is not None:
                _write(path, (b"1" if says else b"0") + manifest)
                known.append(inputs)
            else:
                _remove(path)
            for old in known[:-_KEPT]:
                _remove(self.path(old))
            _write(self._names, pack_list([names, *known[-_KEPT:]]))
        except OSError as error:
            raise StateUnusable(f"{self._directory}: can't write ({error.strerror}); is the disk full?") from error

    def forget_all(self) -> None:
        """No goal is known to be complete."""
        from hashmake.disk.removing import remove_tree  # no null build removes anything

        try:
            remove_tree(self._directory)
        except FileNotFoundError:
            pass  # there was none
        except OSError as error:
            raise StateUnusable(f"{self._directory}: can't be removed ({error.strerror})") from error

    def _request(self) -> list[bytes]:
        """Names, then inputs; empty where nothing is known."""
        try:
            return unpack_list(_read(self._names) or b"")[0]
        except (struct.error, ValueError):
            return []

    def _path(self, letter: bytes, what: bytes) -> str:
        return os.path.join(self._directory, digest.of_bytes(letter + self._key + what).hex())


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return None
    return data[_SEAL:] if digest.of_bytes(memoryview(data)[_SEAL:]) == data[:_SEAL] else None


def _write(path: str, data: bytes) -> None:
    with private(path + ".new") as file:
        file.write(digest.of_bytes(data))
        file.write(data)
    os.replace(path + ".new", path)


def _remove(path: str) -> None:
    for each in (path, path + ".times"):
        try:
            os.unlink(each)
        except FileNotFoundError:
            pass
