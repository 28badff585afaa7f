"""In-memory twins of the edges: what the pure part is tested with."""

from __future__ import annotations

from posixpath import basename, dirname, join
from typing import TYPE_CHECKING

from hashmake.model import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TREE = b"/w/"  # where the trees of all tests lie


def at(name: str) -> bytes:
    """The path of a name in the tree; one that begins with a slash is a path already."""
    return join(TREE, name.encode())


def version_of(text: str, executable: bool = False) -> bytes:
    """The version of a regular file with this text."""
    data = text.encode()
    x = b"Fx" if executable else b"F-"
    return x + len(data).to_bytes(8, "little") + digest.of_bytes(data)


class Node:
    """What lies on a path, or, as a file with hard links, on several: a file, a link, or a directory."""

    def __init__(self, kind: str, text: str, moment: int) -> None:
        self.kind = kind
        self.text = text
        self.executable = False
        self.mode = ""
        self.ctime = self.mtime = moment

    def version(self) -> bytes:
        """As digest.py says."""
        if self.kind == "F":
            return version_of(self.text, self.executable)
        return b"L" + self.text.encode() if self.kind == "L" else digest.DIRECTORY


class Files:
    """What lies on a disk, and the clock that stamps it: a counter that grows with each thing that happens."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.clock = 1000
        for directory in (b"/", TREE.rstrip(b"/")):
            self.mkdir(directory)

    def tick(self) -> int:
        """Time goes by."""
        self.clock += 10
        return self.clock

    def write(self, path: bytes, text: str, executable: bool | None = None) -> None:
        """Make a file, or put other text into the one there is (under all its names)."""
        moment = self.tick()
        node = self.nodes.get(path)
        if node is None or node.kind != "F":
            node = self.nodes[path] = Node("F", text, moment)
        node.text, node.ctime, node.mtime = text, moment, moment
        node.executable = node.executable if executable is None else executable

    def chmod(self, path: bytes, mode: str) -> None:
        """Set a mode; one with an x makes it executable."""
        node = self.nodes[path]
        node.mode, node.executable, node.ctime = mode, "x" in mode, self.tick()

    def touch(self, path: bytes) -> None:
        """Only its times are new."""
        node = self.nodes[path]
        node.ctime = node.mtime = self.tick()

    def mkdir(self, path: bytes) -> None:
        """Make a directory."""
        self.nodes[path] = Node("D", "", self.tick())

    def symlink(self, target: str, path: bytes) -> None:
        """Make a symbolic link."""
        self.nodes[path] = Node("L", target, self.tick())

    def link(self, path: bytes, new: bytes) -> None:
        """Give a file another name."""
        self.nodes[new] = self.nodes[path]
        self.nodes[new].ctime = self.tick()

    def remove(self, path: bytes) -> None:
        """Take one name away."""
        self.tick()
        del self.nodes[path]

    def rename(self, old: bytes, new: bytes) -> None:
        """Move a file, or a directory with all that lies in it."""
        for path in [p for p in self.nodes if p == old or p.startswith(old + b"/")]:
            self.nodes[new + path[len(old) :]] = self.nodes.pop(path)
        self.nodes[new].ctime = self.tick()

    def real(self, path: bytes, depth: int = 0) -> bytes:
        """The path without links in it; of links that lead to each other, one of them."""
        found = b"/"
        for name in path.strip(b"/").split(b"/"):
            found = join(found, name)
            node = self.nodes.get(found)
            if node is not None and node.kind == "L" and depth < 40:
                found = self.real(join(dirname(found), node.text.encode()), depth + 1)
        return found

    def behind(self, path: bytes) -> Node | None:
        """What lies there, links followed."""
        node = self.nodes.get(self.real(path))
        return None if node is None or node.kind == "L" else node


class MemoryStore:
    """Satisfies world.Store: what lies on a disk in memory, kept by its version; `lost`: versions that are damaged."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.kept: dict[bytes, tuple[str, str, bool]] = {}
        self.lost: set[bytes] = set()
        self.notes: dict[tuple[bytes, bytes], dict[bytes, bytes]] = {}

    def keep(self, path: bytes, version: bytes) -> int | None:
        node = self._files.nodes.get(path)
        if node is not None:
            if node.mode or list(self._files.nodes.values()).count(node) > 1:
                return None
            self.kept[version] = (node.kind, node.text, node.executable)
        return 0

    def note(self, table: bytes, key: bytes, name: bytes, data: Callable[[], bytes]) -> None:
        self.notes.setdefault((table, key), {}).setdefault(name, data())

    def noted(self, table: bytes, key: bytes, most: int) -> list[tuple[bytes, bytes]]:
        return list(self.notes.get((table, key), {}).items())[-1 : -most - 1 : -1]

    def put(self, content: bytes, executable: bool) -> bytes | None:
        version = version_of(content.decode(), executable)
        self.kept[version] = ("F", content.decode(), executable)
        return version

    def get(self, version: bytes) -> bytes | None:
        return self.kept[version][1].encode() if version in self.kept else None

    def mentions(self, version: bytes, word: bytes) -> bool:
        _kind, text, _executable = self.kept.get(version, ("", "", False))
        return word in version or word in text.encode()

    def is_packed(self, _version: bytes) -> bool:
        return False

    def fetch(self, files: list[tuple[bytes, bytes, int]]) -> MemoryFetched | None:
        if any(version and (version in self.lost or version not in self.kept) for _path, version, _mode in files):
            return None
        return MemoryFetched(self._files, [(path, self.kept.get(version)) for path, version, _mode in files])


class MemoryFetched:
    """Satisfies world.Fetched."""

    def __init__(self, files: Files, wanted: list[tuple[bytes, tuple[str, str, bool] | None]]) -> None:
        self._files = files
        self._wanted = wanted

    def place(self) -> bool:
        for path, content in sorted(self._wanted, key=lambda each: each[0]):
            if content is None or self._files.nodes.get(path) is not None:
                self._take_away(path, content)
            if content is not None and path not in self._files.nodes:
                kind, text, executable = content
                self._files.nodes[path] = node = Node(kind, text, self._files.tick())
                node.executable = executable
        return True

    def _take_away(self, path: bytes, content: tuple[str, str, bool] | None) -> None:
        node = self._files.nodes.get(path)
        if node is not None and not (content is not None and content[0] == node.kind == "D"):
            self._files.remove(path)


class MemoryDisk:
    """The files as one build has seen them: satisfies world.DiskLike, and remembers until told, as disk.Disk does."""

    def __init__(self, on: Files | None = None) -> None:
        self.files = on or Files()
        self.hosts = {b"uname": "here", b"user": "me"}
        self._seen: dict[tuple[str, bytes], bytes] = {}
        self._names: dict[bytes, list[bytes] | None] = {}
        self._read: dict[bytes, tuple[Node | None, int, int, int]] = {}  # what was read, its ctime and mtime, when
        self._former: dict[bytes, tuple[bytes, int]] = {}

    # -- what a test does ------------------------------------------------------------------------------------------

    @staticmethod
    def of(**files: str) -> MemoryDisk:
        """A disk of a few files."""
        disk = MemoryDisk()
        for name, text in files.items():
            disk.write(name, text)
        return disk

    def write(self, name: str, text: str) -> None:
        self.files.write(at(name), text)
        self.forget(at(name))

    def remove_file(self, name: str) -> None:
        self.files.remove(at(name))
        self.forget(at(name))

    # -- Versions --------------------------------------------------------------------------------------------------

    def content(self, path: bytes) -> bytes:
        if path[:1] != b"/":
            return b"H" + self.hosts[path].encode()
        return self._remembered("content", path, self.files.behind)

    def own(self, path: bytes) -> bytes:
        node = self.files.nodes.get(path)
        if ("own", path) not in self._seen and node is not None and node.kind == "F":
            return self._seen.setdefault(("own", path), self.content(path))
        return self._remembered("own", path, self.files.nodes.get)

    def head(self, path: bytes) -> bytes:
        return digest.head(self.content(path))

    looked = content
    own_looked = own

    def _remembered(self, question: str, path: bytes, look: Callable[[bytes], Node | None]) -> bytes:
        found = self._seen.get((question, path))
        if found is None:
            node = look(path)
            found = self._seen[question, path] = node.version() if node is not None else digest.ABSENT
            end = self.files.behind(path)
            times = (end.ctime, end.mtime) if end is not None else (0, 0)
            self._read.setdefault(path, (end, *times, self.files.tick()))
        return found

    def exists(self, path: bytes) -> bool:
        return bool(self.content(path))

    def names(self, path: bytes) -> list[bytes] | None:
        if path not in self._names:
            node = self.files.behind(path)
            there = node is not None and node.kind == "D"
            inside = sorted(basename(p) for p in self.files.nodes if dirname(p) == path != p)
            self._names[path] = inside if there else None
        return self._names[path]

    def forget(self, path: bytes) -> None:
        version = self._seen.get(("content", path))
        mtime = self._read.pop(path, (None, 0, 0, 0))[2]
        if version:
            self._former.setdefault(path, (version, mtime))
        for question in ("content", "own"):
            self._seen.pop((question, path), None)
        self._names.pop(path, None)
        self._names.pop(dirname(path), None)

    # -- Moments ---------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        return self.files.tick()

    def changed_since(self, path: bytes, moment_ns: int) -> bool:
        return path in self._read and self._read[path][1] >= moment_ns

    def touched_since(self, path: bytes, moment_ns: int) -> bool | None:
        node = self.files.nodes.get(path)
        return None if node is None else node.ctime >= moment_ns

    def known_before(self, path: bytes, moment_ns: int) -> bytes | None:
        version = self._seen.get(("own", path)) or self._seen.get(("content", path))
        return version if version and self._read[path][3] < moment_ns else None

    def still_same(self, path: bytes) -> bool:
        if path not in self._read:
            return True
        node = self.files.behind(path)
        return self._read[path][:2] == (node, node.ctime if node is not None else 0)

    def lasting_signature(self, path: bytes) -> bytes:
        return b""

    # -- Places ----------------------------------------------------------------------------------------------------

    def is_directory(self, path: bytes) -> bool:
        node = self.files.behind(path)
        return node is not None and node.kind == "D"

    def is_link(self, path: bytes) -> bool:
        node = self.files.nodes.get(path)
        return node is not None and node.kind == "L"

    def is_there(self, path: bytes) -> bool:
        return path in self.files.nodes

    def is_program(self, path: bytes) -> bool:
        node = self.files.behind(path)
        return node is not None and node.kind == "F" and node.executable

    def is_private(self, path: bytes) -> bool:
        return path.endswith(b".secret")

    def real(self, path: bytes) -> bytes:
        return self.files.real(path)

    def below(self, path: bytes) -> Iterator[tuple[bytes, list[bytes], list[bytes]]]:
        inside = [p for p in sorted(self.files.nodes) if dirname(p) == path != p]
        if not self.is_directory(path):
            return
        directories = [p for p in inside if self.files.nodes[p].kind == "D"]
        yield path, [basename(p) for p in directories], [basename(p) for p in inside if p not in directories]
        for directory in directories:
            yield from self.below(directory)

    def linked_file(self, path: bytes) -> tuple[int, int] | None:
        node = self.files.nodes.get(path)
        if node is None or node.kind != "F" or sum(n is node for n in self.files.nodes.values()) < 2:
            return None
        return 1, id(node)

    def read(self, path: bytes, most: int = -1) -> bytes | None:
        node = self.files.behind(path)
        if node is None or node.kind != "F":
            return None
        data = node.text.encode()
        return data if most < 0 else data[:most]

    # -- what a build changes itself -------------------------------------------------------------------------------

    def restore_time(self, path: bytes, version: bytes) -> None:
        node = self.files.behind(path)
        if node is not None and self._former.get(path, (b"", 0))[0] == version:
            node.mtime = self._former[path][1]

    def remove(self, path: bytes, places: tuple[bytes, ...]) -> bool:
        node = self.files.nodes.get(path)
        if node is None or node.kind == "D" or not any(path.startswith(place + b"/") for place in places):
            return False
        self.files.remove(path)
        return True

    def replace(self, path: bytes, content: bytes) -> bool:
        self.files.write(path, content.decode())
        return True

    def make_empty(self, path: bytes) -> bool:
        self.files.write(path, "")
        return True


class MemoryTrace:
    """The trace of a step; satisfies world.Trace. `written`: all records of it, to which a step's doings are added."""

    def __init__(self, written: list[bytes]) -> None:
        self.written = written
        self.lost: bytes | None = None
        self._taken = 0

    def records(self, final: bool) -> list[bytes]:
        new = self.written[self._taken :]
        self._taken = len(self.written)
        return new

    def so_far(self) -> list[bytes]:
        return list(self.written)

    def confirm(self, tail: int) -> bool:
        """No launcher sums it up."""
        return False

    def remove(self) -> None:
        """It is taken in."""

    def close(self) -> None:
        """Nothing was opened."""
