"""From the records of a running step to facts and outputs: what it read as it was, what it left behind.

The knotty part: one path can be looked for, made, read, changed and removed in one step. What counts as input is only
what was seen before the step itself first wrote the path; what counts as output is what is there when it ends; a path
that was not there before and is not there after is a temporary, and is neither (design.md, rules 0 and 1).
"""

import os
import stat
from collections.abc import Callable
from posixpath import dirname

from hashmake.disk import reading
from hashmake.disk.disk import STATE_NAME, Disk
from hashmake.disk.signature import changed_since
from hashmake.judge.tree import Tree
from hashmake.model import digest, letters, shelltext, variables
from hashmake.model.kinds import ABSENT, ACCESS, EXISTS, LIST, LSTAT, NEVER, READ, STAT, as_seen
from hashmake.model.tables import NO_VALUE, FactId, PathId, ValueId

_WRITE_LETTERS = frozenset({b"w", b"u", b"m", b"M", b"t", b"c"})
_LOOK_KINDS = {b"r": READ, b"s": STAT, b"l": LSTAT, b"a": ACCESS, b"k": EXISTS, b"n": ABSENT}
_TEMPORARY_DIRECTORIES = frozenset({b"/tmp", b"/var/tmp", b"/dev/shm"})
_SCRIPT_MAX = 1 << 20
_NO_RECORD = b"a record that can't be parsed"


class Account:
    """What one running step has done so far.

    facts    what held when it started
    replaces what it makes does not depend on what its products were before: a mere look at them is no input
    outs     path -> (version before, version now), in the order of the last write
    fresh    each write as it was taken in: path, version before it, version after it
    since    the tree's moment at which the step started; started_ns: the same by the clock
    looks    paths that a make process looked at: existence counts, content only if nothing below reads it
    wrote    all paths that it wrote, removed or touched
    readers  who read a table whose entries count one by one: the path, then program and arguments, joined by 1
    reread   paths that it, or a step below it, made, and that it read then: no inputs, but what they mention counts
    before   what files held that it was about to change, as far as nobody knew
    anew     products that were put out of its sight, for it to make them from nothing once more
    names    environment variables looked up (step.WHOLE: all)
    unseen   why it can't be followed, "" if it can
    make     a make process came up in it; goal: what it makes when no goal is named
    """

    __slots__ = (
        "_lists",
        "anew",
        "before",
        "facts",
        "fresh",
        "goal",
        "intermediates",
        "looks",
        "make",
        "names",
        "outs",
        "readers",
        "replaces",
        "reread",
        "shell",
        "since",
        "started_ns",
        "unseen",
        "wrote",
    )

    def __init__(self, since: int, started_ns: int) -> None:
        self.since = since
        self.started_ns = started_ns
        self.facts: set[FactId] = set()
        self.outs: dict[PathId, tuple[ValueId, ValueId]] = {}
        self.fresh: list[tuple[PathId, ValueId, ValueId]] = []
        self.looks: set[PathId] = set()
        self.readers: set[bytes] = set()
        self.reread: set[PathId] = set()
        self.anew: set[PathId] = set()
        self.before: dict[bytes, bytes] = {}
        self.names: set[bytes] = set()
        self.intermediates: set[bytes] = set()
        self.unseen = b""
        self.goal = b""
        self.wrote: set[bytes] = set()
        self.make = False
        self.replaces = False
        self.shell = False
        self._lists: dict[bytes, list[bytes]] = {}


class Accountant:
    """Does the accounts of all running steps over one tree."""

    def __init__(self, tree: Tree, disk: Disk, own_directory: bytes, in_flight: Callable[[Account], set[bytes]]):
        self._tree = tree
        self._disk = disk
        self._own = own_directory
        self._in_flight = in_flight
        self._temporaries: set[bytes] = set()  # came and went in this build
        self._hard_links: dict[tuple[int, int], set[bytes]] = {}  # names of one file
        self._scripts: dict[tuple[bytes, bytes], frozenset[bytes]] = {}

    def absorb(self, account: Account, records: list[bytes], variables: dict[bytes, bytes]) -> None:
        """Take in records that came since the last call. For a plain step: all of them, once, at its end."""
        writes = [r for r in records if r[:1] in _WRITE_LETTERS]
        if not all(r[1:2] == b"/" for r in writes):
            account.unseen = _NO_RECORD
            writes = [r for r in writes if r[1:2] == b"/"]
        touched = {r[1:] for r in writes}
        self._expand_moves(account, writes, touched)
        self._expand_links(touched, records)
        account.wrote |= touched
        unique = set(records)
        unique.discard(b"")
        if touched:
            unique -= {k + p for p in touched for k in _ALL_PATH_KINDS}
        if account.make:
            slow = list(unique)
        else:
            known = self._tree.record_facts
            slow = list(unique.difference(known))
            account.facts.update(map(known.__getitem__, unique.difference(slow)))
        for record in slow:
            self._one(account, record, unique, variables)
        if touched:
            self._written(account, records, writes, touched)
        self._close_lists(account, unique)

    def look_again(self, account: Account) -> None:
        """At the end of a step with a make in it: what it kept open for writing (`sh script > out`) has grown since."""
        tree = self._tree
        for pid, (pre, post) in list(account.outs.items()):
            if tree.state.get(pid) != post or pid in tree.ahead:
                continue  # a step below has taken it further
            self._disk.forget(tree.tables.paths[pid])
            now = tree.on_disk(pid)
            if now != post:
                tree.wrote(tree.tables.paths[pid])
                account.outs[pid] = (pre, now)
                account.fresh.append((pid, post, now))
                tree.put(pid, post, now, wrote=True)

    # -- reads ----------------------------------------------------------------------------------------------------

    def _one(self, account: Account, record: bytes, unique: set[bytes], variables: dict[bytes, bytes]) -> None:
        kind = record[:1]
        fact_kind = _LOOK_KINDS.get(kind)
        special = _SPECIAL.get(kind)
        if kind in _PATH_LETTERS and record[1:2] != b"/":
            account.unseen = account.unseen or _NO_RECORD
        elif fact_kind == ABSENT:
            self._absent(account, record, unique)
        elif fact_kind is not None:
            self._look(account, record, fact_kind)
        elif special is not None:
            special(self, account, record[1:], variables)
        elif kind not in (letters.BEGUN, letters.OVER):
            account.unseen = account.unseen or _NO_RECORD

    def _internal(self, account: Account, pid: PathId) -> bool:
        """Whether this step, or one below it, made pid."""
        return pid in account.outs or (self._tree.made_at.get(pid, 0) > account.since and account.make)

    def _own_directory_of(self, account: Account, directory: bytes) -> bool:
        """Whether this step made the directory, or made and removed it: nothing in it can have been there before."""
        pid = self._tree.tables.path_ids.get(directory)
        if pid is None or (pid not in account.outs and pid not in self._tree.state):
            return not os.path.isdir(directory)
        return account.outs.get(pid, (self._tree.state.get(pid, NO_VALUE), 0))[0] == NO_VALUE

    def _absent(self, account: Account, record: bytes, unique: set[bytes]) -> None:
        path = record[1:]
        tree = self._tree
        if dirname(path) in account.wrote and self._own_directory_of(account, dirname(path)):
            return
        pid = tree.tables.path(path)
        if self._internal(account, pid):
            return
        if b"r" + path in unique or b"s" + path in unique or b"k" + path in unique:
            return  # someone else made it meanwhile; the stronger access wins
        fid = tree.tables.fact(ABSENT, pid, NO_VALUE)
        account.facts.add(fid)
        if tree.check(fid) and not account.make:
            tree.record_facts[record] = fid

    def _look(self, account: Account, record: bytes, kind: int) -> None:
        path = record[1:]
        tree = self._tree
        pid = tree.tables.path(path)
        if self._internal(account, pid):
            if kind == READ:
                account.reread.add(pid)
            return
        if kind == EXISTS:
            account.looks.add(pid)
            return
        links = self._links(account, path, pid) if kind != LSTAT else None
        if links is not None:
            path, pid = links
        if kind in (READ, STAT, LSTAT) and pid not in tree.state and not self._readable(account, path, pid, kind):
            return
        fid = tree.fact_now(kind, pid)
        account.facts.add(fid)
        if links is None and not account.make:
            tree.record_facts[record] = fid

    def _links(self, account: Account, path: bytes, pid: PathId) -> tuple[bytes, PathId] | None:
        """Where a path that is a link leads: each link is a fact of its own, the access belongs to the end."""
        tree = self._tree
        found = None
        for _ in range(40):
            version = tree.state.get(pid)
            own = self._disk.own(path) if version is None else tree.tables.values[version]
            if own[:1] != b"L":
                return found
            account.facts.add(tree.fact_now(LSTAT, pid))
            target = os.path.join(dirname(path), own[1:])
            path = os.path.join(os.path.realpath(dirname(target)), os.path.basename(target))
            pid = tree.tables.path(path)
            found = (path, pid)
        return found

    def _readable(self, account: Account, path: bytes, pid: PathId, kind: int) -> bool:
        """Whether what the disk holds now is what the step read; if that can't be known, the step is stale."""
        if kind != READ and (self._disk.head(path)[:1] != b"F" or os.path.islink(path)):
            return True  # of directories and the like nothing is known but that they are there
        version = self._disk.content(path) if kind == READ else self._disk.looked(path)
        if version and not self._disk.changed_since(path, account.started_ns):
            return True
        if version and path[:1] != b"/":
            return True
        account.facts.add(self._tree.tables.fact(NEVER, pid, NO_VALUE))
        return False

    # -- other records --------------------------------------------------------------------------------------------

    def _list(self, account: Account, path: bytes, _variables: dict[bytes, bytes]) -> None:
        account._lists.setdefault(path, [])

    def _entry(self, account: Account, path: bytes, _variables: dict[bytes, bytes]) -> None:
        account._lists.setdefault(dirname(path), []).append(path)

    def _listed(self, account: Account, path: bytes, _variables: dict[bytes, bytes]) -> None:
        account._lists.setdefault(path, []).append(b"")

    def _getenv(self, account: Account, name: bytes, _variables: dict[bytes, bytes]) -> None:
        # Compilers look for the jobserver in it (gcc's LTO); who really uses it is a shell or make, seen otherwise.
        if name != b"MAKEFLAGS":
            account.names.add(name)

    def _reader(self, account: Account, text: bytes, _variables: dict[bytes, bytes]) -> None:
        account.readers.add(text)

    def _intermediate(self, account: Account, path: bytes, _variables: dict[bytes, bytes]) -> None:
        account.intermediates.add(path)

    def _environ(self, account: Account, _program: bytes, _variables: dict[bytes, bytes]) -> None:
        account.names.add(variables.WHOLE)

    def _script(self, account: Account, path: bytes, _variables: dict[bytes, bytes]) -> None:
        account.shell = True
        version = self._disk.content(path)
        key = (path, version)
        names = self._scripts.get(key)
        if names is None:
            names = self._scripts[key] = frozenset(self._script_names(path))
        account.names |= names

    def _script_names(self, path: bytes) -> set[bytes]:
        try:
            with reading.open_plain(path) as script:
                text = script.read(_SCRIPT_MAX + 1)
        except OSError:
            return {variables.WHOLE}
        return {variables.WHOLE} if len(text) > _SCRIPT_MAX else shelltext.variables_in(text)

    def _text(self, account: Account, text: bytes, _variables: dict[bytes, bytes]) -> None:
        account.shell = True
        account.names |= shelltext.variables_in(text)

    def _host(self, account: Account, name: bytes, _variables: dict[bytes, bytes]) -> None:
        tree = self._tree
        account.facts.add(tree.fact_now(READ, tree.tables.path(name)))

    def _make(self, account: Account, _path: bytes, _variables: dict[bytes, bytes]) -> None:
        account.make = True

    def _goal(self, account: Account, name: bytes, _variables: dict[bytes, bytes]) -> None:
        account.goal = account.goal or name

    def _unseen(self, account: Account, why: bytes, _variables: dict[bytes, bytes]) -> None:
        account.unseen = account.unseen or why or b"unknown"

    # -- listings -------------------------------------------------------------------------------------------------

    def _close_lists(self, account: Account, unique: set[bytes]) -> None:
        """A listing counts as the step saw it when it started: without what it, or a step beside it, was making."""
        if not account._lists:
            return
        tree = self._tree
        others: set[bytes] | None = None
        for directory in list(account._lists):
            if directory in _TEMPORARY_DIRECTORIES or directory in account.wrote:
                del account._lists[directory]
                continue
            if letters.LISTED + directory not in unique and account.make:
                continue  # make is still at it
            entries = account._lists.pop(directory)
            pid = tree.tables.path(directory)
            if self._internal(account, pid):
                continue
            if others is None:
                others = self._in_flight(account)
            names = self._names_before(account, entries, others)
            version = tree.names_version(directory, names)
            account.facts.add(tree.tables.fact(LIST, pid, tree.tables.value(version)))

    def _names_before(self, account: Account, entries: list[bytes], others: set[bytes]) -> list[bytes]:
        tree = self._tree
        ids, appeared_at = tree.tables.path_ids, tree.appeared_at
        names = []
        for path in entries:
            if not path or path in others or path in self._temporaries or path == self._own:
                continue
            if path.endswith(b"/" + STATE_NAME):  # another tree's state: no names of ours are anybody's input
                continue
            child = ids.get(path)
            if child is not None:
                if child in account.outs and account.outs[child][0] == NO_VALUE:
                    continue
                if appeared_at.get(child, 0) > account.since:
                    continue
            names.append(os.path.basename(path))
        return names

    # -- writes ---------------------------------------------------------------------------------------------------

    def _written(self, account: Account, records: list[bytes], writes: list[bytes], touched: set[bytes]) -> None:
        first = dict(zip(reversed(records), range(len(records), 0, -1), strict=True))
        for path in self._in_write_order(writes, touched):
            if path == self._own or path.startswith(self._own + b"/"):
                continue
            earlier = self._disk.known_before(path, account.started_ns) or account.before.get(path)
            self._tree.wrote(path)
            self._written_path(account, path, first, earlier)

    def _in_write_order(self, writes: list[bytes], touched: set[bytes]) -> list[bytes]:
        last: dict[bytes, int] = dict.fromkeys(touched, -1)
        for at, record in enumerate(writes):
            last[record[1:]] = at
        return sorted(last, key=last.__getitem__)

    def _expand_moves(self, account: Account, writes: list[bytes], touched: set[bytes]) -> None:
        """A renamed directory: everything below has a new name. What it was is an input, as what a copy reads is."""
        made = {r[1:] for r in writes if r[:1] == letters.WRITE}
        for at, record in enumerate(writes):
            if record[:1] != letters.MOVEDIR or not writes[at + 1 : at + 2] or not writes[at + 1][1:].strip(b"/"):
                continue
            old, new = record[1:], writes[at + 1][1:]
            for where, directories, files in os.walk(new):
                if old not in made:
                    self._moved_along(account, old + where[len(new) :], directories + files)
                for name in directories + files:
                    path = where + b"/" + name
                    touched.add(path)
                    touched.add(old + path[len(new) :])
            prefix = old + b"/"
            paths = self._tree.tables.paths
            touched.update(paths[p] for p, v in self._tree.state.items() if v and paths[p].startswith(prefix))

    def _expand_links(self, touched: set[bytes], records: list[bytes]) -> None:
        """What was written under one name of a file was written under all of them."""
        for path in sorted(touched):
            file = _linked_file(path)
            if file is None:
                continue
            names = self._hard_links.get(file, set())
            if path not in names:
                # A new name, whose other one this step read, or links that an earlier build made.
                looked = {r[1:] for r in records if r[:1] == b"r"}
                known = {name for name in looked if _linked_file(name) == file}
                names = known or {n for n in self._products() if _linked_file(n) == file}
                self._hard_links.setdefault(file, set()).update(names, {path})
                if known:
                    continue
            touched.update(name for name in names if _linked_file(name) == file)

    def _products(self) -> list[bytes]:
        paths = self._tree.tables.paths
        return [paths[pid] for pid, version in self._tree.state.items() if version]

    def _moved_along(self, account: Account, directory: bytes, names: list[bytes]) -> None:
        """Facts about a directory that was moved: which names it held, and what each of these was."""
        tree = self._tree
        pid = tree.tables.path(directory)
        if self._internal(account, pid):
            return
        version = b"N" + b"\0".join(sorted(names))
        account.facts.add(tree.tables.fact(LIST, pid, tree.tables.value(version)))
        for name in names:
            child = tree.tables.path(directory + b"/" + name)
            here = tree.state.get(child)
            if here and not self._internal(account, child):
                account.facts.add(tree.tables.fact(READ, child, here))

    def _written_path(self, account: Account, path: bytes, first: dict[bytes, int], was: bytes | None) -> None:
        tree = self._tree
        if path not in tree.tables.path_ids and b"w" + path in first and not os.path.lexists(path):
            self._temporaries.add(path)
            return  # a name that may never come again: not worth a number
        pid = tree.tables.path(path)
        never = len(first) + 10**9
        wrote_at = min(_moved_at(path, first) or never, *(first.get(k + path, never) for k in _WRITE_LETTERS))
        earlier = [k for k in _LOOK_KINDS if first.get(k + path, never) < wrote_at]
        before = account.outs.get(pid)
        known = tree.state.get(pid)
        if before is None and known is None:
            became = self._becomes_product(account, path, pid, earlier, first, was)
            if became is None:
                return
            pre = became
        else:
            pre = before[0] if before is not None else NO_VALUE if pid in account.anew else known or NO_VALUE
            if not self._internal(account, pid):
                self._facts_before(account, pid, pre, earlier)
        account.outs.pop(pid, None)
        post = tree.on_disk(pid)
        if pre != NO_VALUE or post != NO_VALUE:
            account.outs[pid] = (pre, post)
            account.fresh.append((pid, pre if known is None else known, post))
        elif known is None:
            return
        elif known != post:
            account.fresh.append((pid, known, post))  # a composite that made it earlier on takes it away
        tree.put(pid, known or pre, post, wrote=True)

    def _facts_before(self, account: Account, pid: PathId, pre: ValueId, earlier: list[bytes]) -> None:
        """Facts about the version that was there before the step wrote it."""
        tables = self._tree.tables
        version = tables.values[pre]
        for kind in self._counting(account, earlier):
            fact_kind = _LOOK_KINDS[kind]
            if not version:
                fact_kind = ABSENT
            elif fact_kind == ABSENT:
                fact_kind = EXISTS
            account.facts.add(tables.fact(fact_kind, pid, tables.value(as_seen(fact_kind, version))))

    def _counting(self, account: Account, earlier: list[bytes]) -> list[bytes]:
        """Of the looks that came before the step's own write, those that are inputs."""
        return [kind for kind in earlier if kind == b"r"] if account.replaces else earlier

    def _becomes_product(
        self,
        account: Account,
        path: bytes,
        pid: PathId,
        earlier: list[bytes],
        first: dict[bytes, int],
        was: bytes | None,
    ) -> ValueId | None:
        """The version that a path had before this write, if the write makes it a product; else None.

        Adds the facts about what was there. `was`: the version that the disk is known to have held before the step.
        """
        tree = self._tree
        tables = tree.tables
        try:
            st = os.lstat(path)
        except OSError:
            if b"n" in earlier or (b"w" + path in first and b"u" + path not in first):
                return None  # a temporary
            if first.get(b"w" + path, 1 << 60) < first.get(b"u" + path, 1 << 60):
                return None
            return tables.value(was or digest.OTHER)  # there before, removed by this step
        written = b"w" + path in first or _moved_at(path, first) != 0
        if b"n" in self._counting(account, earlier):
            account.facts.add(tables.fact(ABSENT, pid, NO_VALUE))
        # What another goal made and this step replaced without a look is not there in a clean build.
        if b"n" in earlier or (written and not earlier and tree.foreign.pop(pid, None) is not None):
            return NO_VALUE
        if _moved_at(path, first) and not was:
            return NO_VALUE  # it came with its directory, which found nothing (or an empty one) in its place
        if not written or not changed_since(st, account.started_ns) or was == self._disk.own(path):
            # The content is what it was; but make sees a new time, also when this step is skipped one day.
            for kind in earlier:
                account.facts.add(tree.fact_now(_LOOK_KINDS[kind], pid))
            return tree.on_disk(pid) if written or b"t" + path in first else None
        if was:
            pre = tables.value(was)
            self._facts_before(account, pid, pre, earlier)
            return pre
        return self._lost_version(account, pid, earlier)

    def _lost_version(self, account: Account, pid: PathId, earlier: list[bytes]) -> ValueId:
        """Of a path that was changed before anybody knew what it held."""
        tables = self._tree.tables
        if b"r" in earlier:
            account.facts.add(tables.fact(NEVER, pid, NO_VALUE))
        if earlier:  # seen before it was written: something was there
            account.facts.add(tables.fact(EXISTS, pid, tables.value(as_seen(EXISTS, digest.OTHER))))
            return tables.value(digest.OTHER)
        return NO_VALUE


def _linked_file(path: bytes) -> tuple[int, int] | None:
    """Device and inode of a file that has several names."""
    try:
        st = os.lstat(path)
    except OSError:
        return None
    return (st.st_dev, st.st_ino) if st.st_nlink > 1 and stat.S_ISREG(st.st_mode) else None


def _moved_at(path: bytes, first: dict[bytes, int]) -> int:
    """When a directory came to this name or to that of a directory above it; 0: never."""
    while path.strip(b"/"):
        if b"M" + path in first:
            return first[b"M" + path]
        path = dirname(path)
    return 0


_ALL_PATH_KINDS = (*_WRITE_LETTERS, *_LOOK_KINDS)
_PATH_LETTERS = frozenset(
    {*_ALL_PATH_KINDS, letters.LIST, letters.ENTRY, letters.LISTED, letters.SCRIPT, letters.MAKE_REMOVED}
)
_SPECIAL: dict[bytes, Callable[[Accountant, Account, bytes, dict[bytes, bytes]], None]] = {
    letters.LIST: Accountant._list,
    letters.ENTRY: Accountant._entry,
    letters.LISTED: Accountant._listed,
    letters.MAKE_REMOVED: Accountant._intermediate,
    letters.GETENV: Accountant._getenv,
    letters.ENVIRON: Accountant._environ,
    letters.READER: Accountant._reader,
    letters.SCRIPT: Accountant._script,
    letters.TEXT: Accountant._text,
    letters.HOST: Accountant._host,
    letters.MAKE: Accountant._make,
    letters.GOAL: Accountant._goal,
    letters.UNSEEN: Accountant._unseen,
}
