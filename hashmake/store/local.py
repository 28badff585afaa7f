"""The store of one user: what steps left, file by file, named by content, shared by all trees and all builds at once.

    objects/XX/YYYY...   a content; its name is the digest and the size, in hexadecimal
    steps/XX/YYYY/ZZZZ   of the step with this name, one set of things that runs of it looked at (model/shared.py)
    results/XX/YYYY      what a step left where these things were as this name says
    new/                 contents that are being written; renamed into their places when they are whole
    size                 bytes in objects/, roughly: what builds have added, as text

Nothing here is believed: a content that does not have its digest is removed, and made again by who needs it.
"""

import fcntl
import itertools
import mmap
import os
import stat
import time
from collections.abc import Callable

from hashmake.disk import reading
from hashmake.disk.modes import is_private, umask
from hashmake.model import digest

_PIECE = 1 << 18
_PRIVATE = b"PRIVATE KEY-----"
_LOOKED_THROUGH = 1 << 18  # bytes of a file that are searched for that
_USED_S = 24 * 3600  # a content's time is that of its last use, as exactly as this
_TRIM_TO = 0.8  # of the limit
_LARGEST_NOTE = 16 << 20
_PACKED = (
    b"\x1f\x8b",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"PK\3\4",
    b"\x04\x22\x4d\x18",
    b"\x02\x21\x4c\x18",
    b"LZIP",
)
_NUMBERS = itertools.count()  # of names in new/: several stores of one process write there, in several threads
TABLES = ("objects", "steps", "results")


class LocalStore:
    """See the module's text.

    scratch  a directory on the tree's file system, for what is about to be put in its place
    trouble  is told, once, why nothing more can be kept
    added    bytes that this build has added
    """

    def __init__(self, top: str, scratch: str, limit: int, trouble: Callable[[str], None]) -> None:
        self.added = 0
        self._top = top
        self._objects = os.path.join(os.fsencode(top), b"objects")
        self._new = os.path.join(os.fsencode(top), b"new")
        self._scratch = os.fsencode(scratch)
        self._limit = limit
        self._trouble = trouble
        self._off = False
        self._there: set[bytes] = set()
        self._mentioned: dict[tuple[bytes, bytes], bool] = {}

    # -- keeping --------------------------------------------------------------------------------------------------

    def keep(self, path: bytes, version: bytes) -> int | None:
        """Keep what a path holds, which is this version; its permission bits (0 where nothing is). None: it can't be.

        What could be a secret is not kept (a private key, a file that only its owner may read where others could read
        new ones), nor is a file of several names, or with attributes beside its mode.
        """
        if version[:1] in (b"L", b""):
            return 0
        try:
            st = os.lstat(path)
            if version == digest.DIRECTORY:
                return stat.S_IMODE(st.st_mode) if stat.S_ISDIR(st.st_mode) else None
            if version[:1] != b"F" or self._off or not _is_plain(st, path):
                return None
            if version[2:10] != st.st_size.to_bytes(8, "little"):
                return None  # somebody writes on
            name = name_of(version)
            if name not in self._there and not self._is_kept(name, st.st_size) and not self._put(name, path, st):
                return None
            self._there.add(name)
        except OSError as error:
            self._stop(error)
            return None
        return stat.S_IMODE(st.st_mode)

    def _is_kept(self, name: bytes, size: int) -> bool:
        path = self._objects + name
        try:
            st = os.stat(path)
        except OSError:
            return False
        if st.st_size != size:
            return False
        if time.time() - st.st_mtime > _USED_S:
            os.utime(path)
        return True

    def _put(self, name: bytes, path: bytes, st: os.stat_result) -> bool:
        """Copy a file into the store, by way of `new/`; False: it is none to be kept."""
        if st.st_size > self._limit // 8:
            return False
        aside = os.path.join(self._new, b"%d-%d" % (os.getpid(), next(_NUMBERS)))
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if _PRIVATE in os.pread(source, _LOOKED_THROUGH, 0):
                return False
            target = self._create(aside)
            try:
                _copy(source, target, st.st_size)
            finally:
                os.close(target)
        except OSError:
            _unlink(aside)
            raise
        finally:
            os.close(source)
        self._rename(aside, self._objects + name)
        self.added += st.st_size
        return True

    def _rename(self, aside: bytes, final: bytes) -> None:
        try:
            os.rename(aside, final)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(final), 0o700, exist_ok=True)
            os.rename(aside, final)

    def _create(self, path: bytes) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            make(self._top)
            return os.open(path, flags, 0o600)

    def _stop(self, error: OSError) -> None:
        """A file that has gone meanwhile is nobody's fault; any other trouble is the store's."""
        where = os.fsdecode(error.filename) if isinstance(error.filename, (bytes, str)) else self._top
        if not self._off and (where.startswith(self._top) or error.errno in (28, 122)):  # ENOSPC, EDQUOT
            self._off = True
            self._trouble(f"{self._top}: {error.strerror}; nothing more is kept for other builds")

    # -- restoring ------------------------------------------------------------------------------------------------

    def fetch(self, files: list[tuple[bytes, bytes, int]]) -> "Fetched | None":
        """Get these ready: path, version, permission bits. None: not all of them are there."""
        fetched = Fetched()
        for path, version, mode in files:
            aside = b""
            if version[:1] == b"F":
                aside = os.path.join(self._scratch, b"restored-%d" % next(_NUMBERS))
                if not self._copy_out(version, aside, mode):
                    fetched.drop()
                    return None
            fetched.add(path, version, mode, aside)
        return fetched

    def _copy_out(self, version: bytes, aside: bytes, mode: int) -> bool:
        """Copy a content, and look whether it is what its name says; one that is not is removed."""
        stored = self._objects + name_of(version)
        try:
            source = os.open(stored, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        hasher, size = digest.Hasher(), 0
        try:
            target = self._beside(aside)
            try:
                while piece := os.read(source, _PIECE):
                    hasher.update(piece)
                    size += len(piece)
                    _write(target, piece)
                os.fchmod(target, mode & 0o777)
            finally:
                os.close(target)
        except OSError:
            _unlink(aside)
            return False
        finally:
            os.close(source)
        if version[2:] != size.to_bytes(8, "little") + hasher.digest():
            _unlink(stored)
            _unlink(aside)
            return False
        os.utime(stored)
        return True

    def _beside(self, path: bytes) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            os.mkdir(self._scratch, 0o700)
            return os.open(path, flags, 0o600)

    # -- what trees tell each other -------------------------------------------------------------------------------

    def note(self, table: bytes, key: bytes, name: bytes, data: Callable[[], bytes]) -> None:
        """Keep what `data` gives under a key (16 bytes) of a table, and under a name among those of this key, once."""
        path = self._of_table(table, key, name)
        if self._off or os.access(path, os.F_OK):
            return
        aside = os.path.join(self._new, b"%d-%d" % (os.getpid(), next(_NUMBERS)))
        try:
            fd = self._create(aside)
            try:
                text = data()
                _write(fd, text)
            finally:
                os.close(fd)
            self._rename(aside, path)
            self.added += len(text)
        except OSError as error:
            _unlink(aside)
            self._stop(error)

    def noted(self, table: bytes, key: bytes, most: int) -> list[tuple[bytes, bytes]]:
        """Name and content of what was noted under a key, the latest first."""
        top = self._of_table(table, key, b"")
        found = []
        try:
            names = os.listdir(top)
        except NotADirectoryError:
            names = [b""]
        except OSError:
            return []
        for name in names:
            path = os.path.join(top, name) if name else top
            try:
                with open(path, "rb") as file:
                    st = os.fstat(file.fileno())
                    if st.st_size < _LARGEST_NOTE:
                        found.append((st.st_mtime, name, file.read()))
                if time.time() - st.st_mtime > _USED_S:
                    os.utime(path)
            except OSError:
                continue
        found.sort(key=lambda each: each[0], reverse=True)
        return [(bytes.fromhex(name.decode("ascii", "replace")) if _is_hex(name) else b"", d) for _, name, d in found][
            :most
        ]

    def _of_table(self, table: bytes, key: bytes, name: bytes) -> bytes:
        return os.path.join(os.fsencode(self._top), name_of_note(table, key, name))

    def put(self, content: bytes, executable: bool) -> bytes | None:
        """Keep a content that lies nowhere; its version as that of a file. None: that can't be done."""
        version = self.version_of(content, executable)
        if self._is_kept(name_of(version), len(content)):
            return version
        aside = os.path.join(self._new, b"%d-%d" % (os.getpid(), next(_NUMBERS)))
        try:
            fd = self._create(aside)
            try:
                _write(fd, content)
            finally:
                os.close(fd)
            self._rename(aside, self._objects + name_of(version))
        except OSError as error:
            _unlink(aside)
            self._stop(error)
            return None
        self.added += len(content)
        return version

    @staticmethod
    def version_of(content: bytes, executable: bool) -> bytes:
        """That of a file which holds this."""
        return (b"Fx" if executable else b"F-") + len(content).to_bytes(8, "little") + digest.of_bytes(content)

    def holds(self, version: bytes) -> bool:
        """Whether a content is kept, as far as its size tells."""
        return self._is_kept(name_of(version), int.from_bytes(version[2:10], "little"))

    def get(self, version: bytes) -> bytes | None:
        """A content that is kept; None where it is not, or is damaged."""
        try:
            with open(self._objects + name_of(version), "rb") as file:
                content = file.read()
        except OSError:
            return None
        return content if version[2:] == len(content).to_bytes(8, "little") + digest.of_bytes(content) else None

    def mentions(self, version: bytes, word: bytes) -> bool:
        """Whether a content that is kept holds this word; also where it can't be read."""
        if version[:1] != b"F":
            return word in version
        found = self._mentioned.get((version, word))
        if found is None:
            found = self._mentioned[version, word] = self._looked_through(version, word)
        return found

    def _looked_through(self, version: bytes, word: bytes) -> bool:
        if not int.from_bytes(version[2:10], "little"):
            return False
        try:
            with (
                open(self._objects + name_of(version), "rb") as file,
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text,
            ):
                return text.find(word) >= 0
        except (OSError, ValueError):
            return True

    def is_packed(self, version: bytes) -> bool:
        """Whether a content that is kept is compressed, as far as its first bytes tell."""
        try:
            with open(self._objects + name_of(version), "rb") as file:
                return file.read(6).startswith(_PACKED)
        except OSError:
            return version[:1] == b"F"

    # -- size -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The build is over: note how much the store has grown; where it is too large, what is oldest in use goes."""
        try:
            os.rmdir(self._scratch)
        except OSError:
            pass  # it was not needed
        if not self.added:
            return
        try:
            if note_growth(self._top, self.added) > self._limit:
                collect(self._top, self._limit)
        except OSError:
            pass  # the next build notes its own, and a collection counts anew


class Fetched:
    """Contents beside their places: satisfies judge.world.Fetched."""

    def __init__(self) -> None:
        self._files: list[tuple[bytes, bytes, int, bytes]] = []

    def add(self, path: bytes, version: bytes, mode: int, aside: bytes) -> None:
        """Path, version, permission bits, and where the content of a file lies."""
        self._files.append((path, version, mode, aside))

    def place(self) -> bool:
        """Put all where they belong; False: not all could be, and some may be."""
        try:
            for path, version, _mode, _aside in sorted(self._files, reverse=True):
                if not version:
                    _take_away(path)
            for path, version, mode, aside in sorted(self._files):
                if version:
                    _bring(path, version, mode, aside)
        except OSError:
            self.drop()
            return False
        return True

    def drop(self) -> None:
        """They are not needed after all."""
        for _path, _version, _mode, aside in self._files:
            if aside:
                _unlink(aside)


def name_of(version: bytes) -> bytes:
    """Where the content of a file with this version lies in objects/."""
    text = (version[10:] + version[2:10]).hex().encode()
    return b"/" + text[:2] + b"/" + text[2:]


def name_of_note(table: bytes, key: bytes, name: bytes) -> bytes:
    """Where what is noted under a key and a name lies; without a name, all that is noted under the key."""
    text = key.hex().encode()
    top = os.path.join(table, text[:2], text[2:])
    return os.path.join(top, name.hex().encode()) if name else top


def _is_plain(st: os.stat_result, path: bytes) -> bool:
    """Whether content and mode are all of a file, and it may be kept."""
    mode = stat.S_IMODE(st.st_mode)
    if not stat.S_ISREG(st.st_mode) or st.st_nlink != 1 or mode & 0o7000:
        return False
    if is_private(mode, umask()):
        return False
    return not [name for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux"]


def _copy(source: int, target: int, size: int) -> None:
    """All of a file; without a copy where the file system can share."""
    left = size
    while left:
        try:
            done = os.copy_file_range(source, target, left)
        except OSError as error:
            if error.errno not in (18, 22, 38, 95):  # EXDEV, EINVAL, ENOSYS, EOPNOTSUPP
                raise
            done = 0
        if not done:
            break
        left -= done
    if left:
        os.lseek(source, size - left, os.SEEK_SET)
        while piece := os.read(source, _PIECE):
            _write(target, piece)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _is_hex(name: bytes) -> bool:
    return len(name) % 2 == 0 and bool(name) and not name.strip(b"0123456789abcdef")


def _unlink(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _is_real(directory: bytes) -> bool:
    """The name comes from a record: one that leads elsewhere, also through a link, is left alone."""
    return os.path.realpath(directory) == directory


def _take_away(path: bytes) -> None:
    if not _is_real(os.path.dirname(path)):
        raise OSError(40, "a link on the way", path)  # ELOOP
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(st.st_mode):
        os.rmdir(path)
    else:
        os.unlink(path)


def _bring(path: bytes, version: bytes, mode: int, aside: bytes) -> None:
    if not _is_real(os.path.dirname(path)):
        raise OSError(40, "a link on the way", path)  # ELOOP
    if version == digest.DIRECTORY:
        if reading.of_path(path)[0] != digest.DIRECTORY:
            os.mkdir(path, 0o700)
            os.chmod(path, mode & 0o777)
    elif version[:1] == b"L":
        _take_away(path)
        os.symlink(version[1:], path)
    else:
        try:
            os.rename(aside, path)
        except OSError as error:
            if error.errno != 18:  # EXDEV: the state lies on another file system
                raise
            near = path + b".hashmake"
            with open(aside, "rb") as source, open(near, "xb") as target:
                os.fchmod(target.fileno(), mode & 0o777)
                _copy(source.fileno(), target.fileno(), os.fstat(source.fileno()).st_size)
            os.rename(near, path)
            _unlink(aside)


# ---- the whole store ----------------------------------------------------------------------------------------------


def make(top: str) -> None:
    """Make an empty store, for its owner only. Raises OSError."""
    os.makedirs(top, 0o700, exist_ok=True)
    for name in ("objects", "new"):
        os.makedirs(os.path.join(top, name), 0o700, exist_ok=True)


def note_growth(top: str, added: int) -> int:
    """Add to the size that is noted; the sum. Raises OSError."""
    fd = os.open(os.path.join(top, "size"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        text = os.pread(fd, 32, 0)
        total = int(text) + added if text.isdigit() else sum(size for _path, size, _used in contents(top))
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d" % total, 0)
    finally:
        os.close(fd)
    return total


def contents(top: str, tables: tuple[str, ...] = TABLES) -> list[tuple[str, int, float]]:
    """Path, size and time of the last use of each file in the store."""
    found = []
    walks = itertools.chain.from_iterable(os.walk(os.path.join(top, table)) for table in tables)
    for folder, _names, files in walks:
        for name in files:
            path = os.path.join(folder, name)
            try:
                st = os.lstat(path)
            except OSError:
                continue
            found.append((path, st.st_size, st.st_mtime))
    return found


def collect(top: str, limit: int) -> int:
    """Remove what was not used longest, until the store is well below the limit (bytes); the size then."""
    found = sorted(contents(top), key=lambda each: each[2])
    total = sum(size for _path, size, _used in found)
    goal = int(limit * _TRIM_TO) if total > limit else limit
    for path, size, _used in found:
        if total <= goal:
            break
        _unlink(os.fsencode(path))
        total -= size
    _forget_unfinished(top)
    with open(os.path.join(top, "size"), "wb") as file:
        file.write(b"%d" % total)
    return total


def _forget_unfinished(top: str) -> None:
    """What builds that were killed had begun to write, a day ago or more."""
    new = os.path.join(top, "new")
    for name in os.listdir(new):
        path = os.path.join(new, name)
        try:
            if time.time() - os.lstat(path).st_mtime > _USED_S:
                os.unlink(path)
        except OSError:
            pass


def damaged(top: str) -> list[str]:
    """Contents that are not what their names say; they are removed."""
    bad = []
    for path, _size, _used in contents(top, ("objects",)):
        version = reading.of_file(os.fsencode(path))[0]
        if name_of(version) != os.fsencode("/" + os.path.relpath(path, os.path.join(top, "objects"))):
            _unlink(os.fsencode(path))
            bad.append(path)
    return bad
