"""In-memory twins of the edges: what the pure part is tested with."""

from __future__ import annotations

from posixpath import dirname

from hashmake.model import digest


def version_of(text: str, executable: bool = False) -> bytes:
    """The version of a regular file with this text."""
    data = text.encode()
    x = b"Fx" if executable else b"F-"
    return x + len(data).to_bytes(8, "little") + digest.of_bytes(data)


class MemoryDisk:
    """A disk of a few files; satisfies world.Versions."""

    def __init__(self, **files: str) -> None:
        self.files: dict[bytes, bytes] = {}
        for name, text in files.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        self.files[b"/w/" + name.encode()] = version_of(text)

    def remove(self, name: str) -> None:
        del self.files[b"/w/" + name.encode()]

    def content(self, path: bytes) -> bytes:
        return self.files.get(path, digest.ABSENT)

    own = content

    def head(self, path: bytes) -> bytes:
        return digest.head(self.content(path))

    looked = own_looked = content

    def exists(self, path: bytes) -> bool:
        return path in self.files

    def names(self, path: bytes) -> list[bytes] | None:
        names = sorted(p[len(path) + 1 :] for p in self.files if dirname(p) == path)
        return names or None

    def forget(self, path: bytes) -> None:
        """Nothing is remembered here."""
