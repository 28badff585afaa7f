"""The database: LMDB records with checksums, refused when they can't be believed. archive.py keeps the recording in it.

SCHEMA below documents every table; docs/database.md is generated from it.
"""

import os
import struct
import zlib
from array import array
from collections.abc import Iterable

import lmdb

from hashmake.errors import Damaged, StateUnusable
from hashmake.null.check import Manifest
from hashmake.state.directory import private

VERSION = 5

SCHEMA = """\
One LMDB environment per output directory, `.hashmake/db/`. Keys are a table letter followed by what is said below.
Every value ends with 4 bytes: CRC-32 of key and value, since LMDB has no checksums of its own. Integers are
little-endian u32 unless said otherwise; "list" is a count, that many lengths, then the byte strings one after another.

| key | value |
| --- | --- |
| `V` | version of this schema (u32). Another version: the database is set aside |
| `M` | state: seq (u64), build, next result number, next chunk number (u32 each) |
| `O` | while a build runs: goal (16), run directory, NUL, boot id; empty when the last build ended in order |
| `p` chunk (u32 BE) | new paths of one save (list); a path's number is its place over all chunks |
| `v` chunk | new versions (list); number 0 is ABSENT and is not stored |
| `f` chunk | new facts: count, kinds (u8 each), paths, versions |
| `e` chunk, `b` chunk | sets of environment facts (list); environment blocks (list, compressed) |
| `l` chunk | (path, version before, version after, result) of each output of each plain step; 0: of a composite |
| `r` number (u32 BE) | one result, see result.py (Result.pack) |
| `k` key (16 bytes) | numbers of the results of that step, newest last |
| `x` goal (16), chunk | paths that builds of this goal wrote, added by one save |
| `g` goal (16) | roots (input digest, result number); products (path, before, after); began (path, version, moment) |
| `W` | goals (list); paths, and the place in that list of the goal that last wrote each |
| `n` goal, inputs (16 + 16) | the null check of its last complete build with these inputs: see nullcheck.py |
| `N` goal, asked (16 + 16) | names of the variables that count for it, joined by NUL (selection.py) |
| `s` goal, inputs (16 + 16) | not empty: make itself started steps there that make no files |
| `P` | all products: path, version, moment (u64) |
| `S` | all sources: path, version, moment (u64) at which each was last seen to change, or first seen (view.py) |
| `K` path | table of names (list): as its step wrote it, after the last build, before its last change, build of that |
| `T` kind (1), version of a file | what was found in its text: names joined by NUL (projections) |
| `L` build (u32 BE) | log of a build, the last 20: compressed JSON. That of the last null build is the file `null` |
| `A` | the real time (ns, u64) of all files that git tracks and that were unchanged when they were first seen here |
| `D` | not empty: what is not recorded in the tree can't be believed (after damage, or when the machine went down) |
| `C` | size of the file (bytes, u64) when it was first complete, or after the last compaction (compact.py) |
| `H` | the state directory's path when this was written: a tree that was moved is noticed |
"""

_MAP_SIZE = 1 << 36
_KEEP_LOGS = 20
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
BE = struct.Struct(">I")
STATE = struct.Struct("<QIII")


def _seal(key: bytes, value: bytes) -> bytes:
    return value + U32.pack(zlib.crc32(value, zlib.crc32(key)))


def _unseal(key: bytes, stored: bytes) -> bytes:
    value = stored[:-4]
    if len(stored) < 4 or U32.unpack(stored[-4:])[0] != zlib.crc32(value, zlib.crc32(key)):
        raise Damaged(f"record {key[:1].decode('ascii', 'replace')} has a wrong checksum")
    return value


def pack_list(items: list[bytes]) -> bytes:
    """A list: count, lengths, contents."""
    lengths = array("I", map(len, items))
    return U32.pack(len(items)) + lengths.tobytes() + b"".join(items)


def unpack_list(data: bytes) -> tuple[list[bytes], int]:
    """The byte strings of a list, and how many bytes it took."""
    (count,) = U32.unpack_from(data)
    lengths = array("I")
    lengths.frombytes(data[4 : 4 + 4 * count])
    items = []
    at = 4 + 4 * count
    for length in lengths:
        items.append(data[at : at + length])
        at += length
    return items, at


def check_size(directory: str) -> None:
    """Refuse a file that is shorter than its meta pages say: reading it would kill the process with SIGBUS."""
    path = os.path.join(directory, "data.mdb")
    try:
        with open(path, "rb") as f:
            head = f.read(8192)
            size = os.fstat(f.fileno()).st_size
    except FileNotFoundError:
        return
    if len(head) < 8192:
        raise Damaged("the file is cut short")
    # struct MDB_meta follows a 16-byte page header; mm_last_pg is its u64 at offset 16+120 (liblmdb 0.9, 64 bit).
    last_pages = [struct.unpack_from("<Q", head, page + 16 + 120)[0] for page in (0, 4096)]
    if (max(last_pages) + 1) * 4096 > size:
        raise Damaged("the file is cut short")


class Database:
    """One open environment. Not to be used after fork."""

    def __init__(self, directory: str, readonly: bool = False) -> None:
        """Raises Damaged (set it aside) or StateUnusable (go on without)."""
        self.directory = directory
        check_size(directory)
        try:
            self._env = lmdb.open(
                directory,
                map_size=_MAP_SIZE,
                max_dbs=0,
                mode=0o600,
                sync=False,
                metasync=False,
                readonly=readonly,
                lock=False,  # the state directory's lock guards it, and works across pid namespaces
                readahead=False,
                max_spare_txns=2,
            )
        except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError) as error:
            raise Damaged(str(error)) from error
        except lmdb.Error as error:
            why = str(error).rpartition(": ")[2]
            raise StateUnusable(f"{directory}: can't be opened ({why}); is the disk full?") from error
        try:
            self._check_version(readonly)
        except Damaged:
            self._env.close()
            raise

    def _check_version(self, readonly: bool) -> None:
        found = self.get(b"V")
        if found is None:
            if readonly:
                raise Damaged("it is empty")
            self.put_all({b"V": U32.pack(VERSION)})
        elif U32.unpack(found)[0] != VERSION:
            raise Damaged(f"it has version {U32.unpack(found)[0]}, this hashmake writes {VERSION}")

    # -- raw access -----------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, checked. Raises Damaged."""
        try:
            with self._env.begin() as txn:
                stored = txn.get(key)
        except lmdb.Error as error:
            raise Damaged(str(error)) from error
        return None if stored is None else _unseal(key, stored)

    def put_all(self, items: dict[bytes, bytes], delete: Iterable[bytes] = ()) -> None:
        """Write and delete in one transaction. Raises StateUnusable when the disk is full, Damaged."""
        try:
            with self._env.begin(write=True) as txn:
                for key, value in items.items():
                    txn.put(key, _seal(key, value))
                for key in delete:
                    txn.delete(key)
        except lmdb.Error as error:
            raise self._unwritten(error) from error

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """All (key without prefix, value) with this prefix, in order of key."""
        found = []
        try:
            with self._env.begin() as txn, txn.cursor() as cursor:
                if cursor.set_range(prefix):
                    for key, stored in cursor:
                        if not key.startswith(prefix):
                            break
                        found.append((key[len(prefix) :], _unseal(key, stored)))
        except lmdb.Error as error:
            raise Damaged(str(error)) from error
        return found

    def sync(self) -> None:
        """To the disk, really."""
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: lmdb.Error) -> StateUnusable | Damaged:
        # liblmdb's own codes but for these tell of pages that make no sense; an errno comes as a plain lmdb.Error.
        if type(error) is lmdb.Error or isinstance(error, lmdb.DiskError | lmdb.MapFullError | lmdb.MemoryError):
            return StateUnusable(f"{self.directory}: can't write ({error}); is the disk full?")
        return Damaged(str(error))

    def walk(self) -> None:
        """Read every page in use, those of the free list too, which only writing reads. Raises Damaged."""
        with open(os.devnull, "wb") as nowhere:
            try:
                self._env.copyfd(nowhere.fileno(), compact=True)
            except lmdb.Error as error:
                raise Damaged(str(error)) from error

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    # -- logs -----------------------------------------------------------------------------------------------------

    def save_log(self, build: int, pieces: Iterable[bytes]) -> None:
        """Keep the log of a build, JSON in pieces, drop the oldest."""
        packer = zlib.compressobj(1)
        packed = [*(packer.compress(piece) for piece in pieces), packer.flush()]
        kept = [b"L" + key for key, _log in self.scan(b"L")]
        self.put_all({b"L" + BE.pack(build): b"".join(packed)}, kept[: 1 - _KEEP_LOGS])

    def logs(self) -> list[tuple[int, bytes]]:
        """(build, log) of the last builds, oldest first; see save_log."""
        return [(BE.unpack(key)[0], value) for key, value in self.scan(b"L")]


def save_null(state_path: str, db: Database, words: list[str], wall_us: int) -> None:
    """A null build ended: its log, in a file of its own so that the database keeps its seal."""
    state = db.get(b"M")
    build = max(STATE.unpack(state)[1] if state else 0, last_null(state_path)[0]) + 1
    argv = b"\0".join(os.fsencode(w) for w in words)
    try:
        with private(os.path.join(state_path, "null")) as log:
            log.write(U32.pack(build) + U32.pack(wall_us) + argv)
    except OSError:
        pass  # a full disk does not make a null build fail


def last_null(state_path: str) -> tuple[int, bytes]:
    """The number of the last null build (0: none) and its log: wall time in us, words joined by NUL."""
    try:
        with open(os.path.join(state_path, "null"), "rb") as log:
            data = log.read()
        return U32.unpack_from(data)[0], data[4:]
    except (OSError, struct.error):
        return 0, b""


def unpack_manifest(data: bytes) -> Manifest:
    """The manifest of a null check. Raises Damaged."""
    lists = []
    try:
        for _ in range(12):
            items, used = unpack_list(data)
            lists.append(items)
            data = data[used:]
    except (struct.error, ValueError) as error:
        raise Damaged("unreadable manifest") from error
    a, b, c, d, e, f, g, h, i, j, k, l_ = lists
    if not (len(a) == len(b) and len(c) == len(d) and len(f) == len(g) == len(h) and len(j) == len(k) == len(l_)):
        raise Damaged("unreadable manifest")
    return a, b, c, d, e, f, g, h, i, j, k, l_


def pack_manifest(manifest: Manifest) -> bytes:
    """The inverse of unpack_manifest."""
    return b"".join(pack_list(part) for part in manifest)
