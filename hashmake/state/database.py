"""The database: LMDB records with checksums, refused when they can't be believed. archive.py keeps the recording in it.

schema.py documents every table.
"""

import os
import struct
import zlib
from collections.abc import Iterable

import lmdb

from hashmake.errors import Damaged, StateUnusable
from hashmake.model.packing import U32
from hashmake.state.schema import VERSION

_MAP_SIZE = 1 << 36
_KEEP_LOGS = 20
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
