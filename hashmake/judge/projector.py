"""Projections: a reader of a table of names depends on the names that it can mention, not on the whole table.

Generic: which files are tables, what their text says, and which names a reader can mention, is a plug-in's knowledge
(plugin.Projection). Here "it read the table" in an account is replaced by "it saw these entries": facts of kind NAME
about the table's path, with an entry as their value. An entry is NAME=TEXT, or NAME alone where the table does not have
it; "PREFIX*" stands for all names that begin so, with the digest of their entries as its text.
"""

from collections.abc import Iterator
from posixpath import dirname

from hashmake.judge.account import Account
from hashmake.judge.running import Running
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model import digest
from hashmake.model.kinds import NAME, READ
from hashmake.model.plugin import Projection
from hashmake.model.recording import Recording, Seed
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId

_LARGEST = 32 << 20  # of a file that is looked through for names


class Table:
    """One table of names: its versions, read while the disk holds them (tree.TableLike)."""

    def __init__(self, path: bytes, projection: Projection, disk: DiskLike) -> None:
        self.path = path
        self.projection = projection
        self._disk = disk
        self._versions: dict[bytes, dict[bytes, bytes]] = {}

    def at(self, version: bytes) -> dict[bytes, bytes] | None:
        """Name -> text in that version; None when the disk does not hold it any more."""
        found = self._versions.get(version)
        if found is None and version[:1] == b"F":
            data = read_version(self._disk, self.path, version)
            if data is not None:
                found = self._versions[version] = self.projection.parse(data)
        return found

    def entry(self, version: bytes, like: bytes) -> bytes:
        """What that version says of the name in another entry; b"" when it can't be read."""
        table = self.at(version)
        name = like.partition(b"=")[0]
        return b"" if table is None else _entry(table, name)

    def says(self, version: bytes, entry: bytes) -> bool:
        """Whether that version has this entry."""
        return self.entry(version, entry) == entry


def _entry(table: dict[bytes, bytes], name: bytes) -> bytes:
    if name.endswith(b"*"):
        lines = sorted(k + b"=" + v for k, v in table.items() if k.startswith(name[:-1]))
        return name + b"=" + digest.of_bytes(b"\n".join(lines)).hex().encode() if lines else name
    text = table.get(name)
    return name if text is None else name + b"=" + text


def read_version(disk: DiskLike, path: bytes, version: bytes) -> bytes | None:
    """The content of a file, if it is the one that this version names."""
    if int.from_bytes(version[2:10], "little") > _LARGEST or disk.content(path) != version:
        return None
    data = disk.read(path, -1)
    return data if data is not None and digest.of_bytes(data) == version[10:] else None


class Reading:
    """What a projection is told of a step that read one of its tables (plugin.StepLike).

    argv, block   the step's words, and its environment NUL-joined
    readers       who read the table: program and arguments; arguments that were not recorded show as b"" at the end
    """

    def __init__(self, projector: "Projector", running: Running, table: Table, readers: list[list[bytes]]) -> None:
        self._projector = projector
        self._running = running
        self._table = table
        self.readers = readers
        self.argv = running.argv
        self.block = running.environment.block

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        """The files that the step read, or made and may have read, tables left out: path and version."""
        tables = self._projector.tree.tables
        for fid in self._running.account.facts:
            if self._projector.is_file(fid):
                yield tables.paths[tables.fact_path[fid]], tables.values[tables.fact_value[fid]]
        yield from self._made()

    def _made(self) -> Iterator[tuple[bytes, bytes]]:
        tree, account = self._projector.tree, self._running.account
        for pid in account.reread | account.outs.keys():
            version = tree.tables.values[tree.state.get(pid, NO_VALUE)]
            if version[:1] == b"F" and pid not in tree.named:
                yield tree.tables.paths[pid], version

    def wrote(self) -> Iterator[tuple[bytes, bytes]]:
        """The files that the step left behind: path and version."""
        tables = self._projector.tree.tables
        for pid, (_pre, post) in self._running.account.outs.items():
            if tables.values[post][:1] == b"F":
                yield tables.paths[pid], tables.values[post]

    def found_in(self, letter: bytes, path: bytes, version: bytes) -> frozenset[bytes] | None:
        """What the projection finds in a file (Projection.find), remembered by the file's digest."""
        return self._projector.found_in(self._table.projection, letter, path, version)

    def mentioned(self, letter: bytes) -> set[bytes] | None:
        """What the projection finds in all files of read(); None when one has changed since."""
        found = self._projector.mentioned(self._table.projection, letter, self._running.account.facts)
        if found is None:
            return None
        for path, version in self._made():
            there = self.found_in(letter, path, version)
            if there is None:
                return None
            found |= there
        return found


class Projector:
    """Puts projections in the place of whole tables, in the accounts of one build's steps."""

    def __init__(self, recording: Recording, tree: Tree, disk: DiskLike, tables: list[Table]) -> None:
        self.tree = tree
        self._recording = recording
        self._disk = disk
        for table in tables:
            tree.named[tree.tables.path(table.path)] = table
        self._tables = {tree.tables.path(table.path): table for table in tables}
        self._seeded = {pid for pid, table in self._tables.items() if table.projection.seeded}
        self._facts: dict[tuple[PathId, ValueId, bytes], FactId] = {}
        # By letter: what is found in the files that facts are about; and of which facts it is known that it is nothing.
        self._found: dict[bytes, tuple[dict[FactId, frozenset[bytes]], set[FactId]]] = {}

    def apply(self, running: Running) -> None:
        """Of each table that only readers by name read: their names, in place of its content."""
        account = running.account
        if not account.readers or not self._tables:
            return
        for pid, table in self._tables.items():
            readers = [r.split(b"\1")[1:] for r in account.readers if r.partition(b"\1")[0] == table.path]
            if readers:
                self._one(running, account, pid, table, readers)

    def _one(self, running: Running, account: Account, pid: PathId, table: Table, readers: list[list[bytes]]) -> None:
        tables = self.tree.tables
        whole = [f for f in account.facts if tables.fact_path[f] == pid and tables.fact_kind[f] == READ]
        versions = {ValueId(tables.fact_value[f]) for f in whole}
        if not whole or any(table.at(tables.values[v]) is None for v in versions):
            return
        names = table.projection.names(Reading(self, running, table, readers))
        if names is None:
            return
        account.facts.difference_update(whole)
        for version in versions:
            account.facts.update(self._fact(pid, version, table, name) for name in names)

    def _fact(self, pid: PathId, version: ValueId, table: Table, name: bytes) -> FactId:
        key = (pid, version, name)
        found = self._facts.get(key)
        if found is None:
            tables = self.tree.tables
            entry = _entry(table.at(tables.values[version]) or {}, name)
            found = self._facts[key] = tables.fact(NAME, pid, tables.value(entry))
        return found

    # -- seeds ----------------------------------------------------------------------------------------------------

    def seed(self, pid: PathId) -> ValueId | None:
        """The version in which a table begins, whatever the step that makes it from nothing writes; None: that."""
        known = self._recording.seeds.get(self.tree.tables.paths[pid]) if pid in self._seeded else None
        if known is None:
            return None
        size = len(known.last).to_bytes(8, "little")
        return self.tree.tables.value(b"F-" + size + digest.of_bytes(known.last))

    def plant(self, running: Running) -> list[PathId]:
        """Put the seeds in the place of what this step made from nothing; where."""
        planted = []
        account = running.account
        for pid in self._seeded & account.outs.keys():
            pre, post = account.outs[pid]
            path = self.tree.tables.paths[pid]
            first = self._content(pid, post)
            if pre != NO_VALUE or first is None:
                continue
            seed = self.seed(pid)
            known = self._recording.seeds.get(path) or Seed(first, first)
            self._recording.seeds[path] = known._replace(first=first)
            last = known.last
            if seed in (None, post) or not self._disk.replace(path, last):
                continue
            planted.append(self._made(account, pid))
            for stamp in self._tables[pid].projection.stamps(path, first, last):
                folders = self._not_there(dirname(stamp))
                if self._disk.make_empty(stamp):
                    planted += [self._made(account, self.tree.tables.path(made)) for made in (*folders, stamp)]
        return planted

    def _content(self, pid: PathId, version: ValueId) -> bytes | None:
        text = self.tree.tables.values[version]
        return read_version(self._disk, self.tree.tables.paths[pid], text) if text[:2] == b"F-" else None

    def _not_there(self, folder: bytes) -> list[bytes]:
        """The directory, and those above it, that a clean build would not have yet; from the top."""
        found: list[bytes] = []
        while self.tree.state.get(self.tree.tables.path(folder)) == NO_VALUE or not self._disk.exists(folder):
            found.insert(0, folder)
            folder = dirname(folder)
        return found

    def _made(self, account: Account, pid: PathId) -> PathId:
        """As if the step had."""
        tree = self.tree
        tree.wrote(tree.tables.paths[pid])
        account.outs.pop(pid, None)
        account.outs[pid] = (NO_VALUE, tree.on_disk(pid))
        tree.put(pid, NO_VALUE, account.outs[pid][1], wrote=True)
        return pid

    def conclude(self) -> set[bytes] | None:
        """A build is complete: the tables begin the next one as they are now.

        Gives the stamps that a clean build leaves, of all that a build ever touched; None where no table was made.
        """
        stamps: set[bytes] | None = None
        for pid in self._seeded:
            path = self.tree.tables.paths[pid]
            version = self.tree.state.get(pid)
            if version is None and self.tree.tables.facts_on.get(pid):
                version = self.tree.on_disk(pid)  # plain make made it, and no step of this goal had to
            last = self._content(pid, version or NO_VALUE)
            if last is None:
                continue
            # Where plain make had made it before us: what it began with is not known.
            known = self._recording.seeds.setdefault(path, Seed(b"", last))
            if last != known.last:
                changed = Seed(known.first, last, known.last, self._recording.build)
                self._recording.seeds[path] = changed
            if known.first:
                stamps = (stamps or set()) | set(self._tables[pid].projection.stamps(path, known.first, last))
        return stamps

    def is_file(self, fid: FactId) -> bool:
        """Whether a fact says what a step read in a file that is no table."""
        tables = self.tree.tables
        return (
            tables.fact_kind[fid] == READ
            and tables.fact_path[fid] not in self.tree.named
            and tables.values[tables.fact_value[fid]][:1] == b"F"
        )

    def mentioned(self, projection: Projection, letter: bytes, facts: set[FactId]) -> set[bytes] | None:
        """See Reading.mentioned. Nearly all facts are those of steps before: each is looked into once."""
        known, silent = self._found.setdefault(letter, ({}, set()))
        tables = self.tree.tables
        names: set[bytes] = set()
        for fid in facts - silent:
            found = known.get(fid)
            if found is None:
                found = frozenset()
                if self.is_file(fid):
                    path, version = tables.paths[tables.fact_path[fid]], tables.values[tables.fact_value[fid]]
                    there = self.found_in(projection, letter, path, version)
                    if there is None:
                        return None
                    found = there
                if found:
                    known[fid] = found
                else:
                    silent.add(fid)
            names |= found
        return names

    def found_in(self, projection: Projection, letter: bytes, path: bytes, version: bytes) -> frozenset[bytes] | None:
        """See Reading.found_in; None when the file is not any more what was read."""
        found = self._recording.finding(letter, version)
        if found is None:
            data = read_version(self._disk, path, version)
            if data is None:
                return None
            found = projection.find(letter, data)
            self._recording.found(letter, version, found)
        return found
