"""From the records of a running step to facts and outputs: what it read as it was, what it left behind.

The knotty part: one path can be looked for, made, read, changed and removed in one step. What counts as input is only
what was seen before the step itself first wrote the path; what counts as output is what is there when it ends; a path
that was not there before and is not there after is a temporary, and is neither (design.md, rules 0 and 1).
"""

import re
from collections.abc import Callable, Container, Mapping
from collections.abc import Set as AbstractSet

from hashmake.judge.account import Account
from hashmake.judge.listings import Listings
from hashmake.judge.moves import Moves
from hashmake.judge.reads import LOOK_KINDS, Reads
from hashmake.judge.scripts import Scripts
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.judge.writes import WRITE_LETTERS, Writes
from hashmake.model import letters
from hashmake.model.kinds import ABSENT, READ
from hashmake.model.shelltext import SHELLS, variables_in
from hashmake.model.summary import Summary
from hashmake.model.tables import FactId
from hashmake.model.variables import HERE, WHOLE

_NO_RECORD = b"a record that can't be parsed"


class _Seen:
    """Records of a step, and those that are only known by what they tell."""

    __slots__ = ("_known", "_records", "_told")

    def __init__(self, records: Container[bytes], told: Container[object], known: Mapping[bytes, FactId]) -> None:
        self._records = records
        self._told = told
        self._known = known

    def __contains__(self, record: object) -> bool:
        return record in self._records or self._known.get(record) in self._told  # type: ignore[call-overload]


class Accountant:
    """Does the accounts of all running steps over one tree."""

    def __init__(
        self, tree: Tree, disk: DiskLike, own_directory: bytes, in_flight: Callable[[Account], set[bytes]]
    ) -> None:
        temporaries: set[bytes] = set()  # came and went in this build
        self._tree = tree
        self._disk = disk
        self._reads = Reads(tree, disk)
        self._listings = Listings(tree, own_directory, temporaries, in_flight)
        self._moves = Moves(tree, disk)
        self._writes = Writes(tree, disk, own_directory, temporaries)
        self._scripts = Scripts(disk)

    def sum_of(self, account: Account, summary: Summary) -> bool:
        """Take in what a launcher found at a plain step's end; False where only the whole trace will do.

        It is what `absorb` would find in that trace now: nothing that it had looked up was taken back meanwhile.
        """
        if account.make or summary.generation != self._tree.generation:
            return False
        if any(self._disk.linked_file(r[1:]) for r in summary.records if r[:1] in WRITE_LETTERS):
            return False  # it wrote by other names as well
        self.absorb(account, summary.records, set(summary.facts))  # type: ignore[arg-type]  # NewType over int
        return True

    def absorb(self, account: Account, records: list[bytes], told: "AbstractSet[FactId]" = frozenset()) -> None:
        """Take in records that came since the last call. For a plain step: all of them, once, at its end.

        `told`: what records tell that are not among these.
        """
        writes = [r for r in records if r[:1] in WRITE_LETTERS]
        if not all(r[1:2] == b"/" for r in writes):
            account.unseen = _NO_RECORD
            writes = [r for r in writes if r[1:2] == b"/"]
        touched = {r[1:] for r in writes}
        self._moves.directories(account, writes, touched)
        self._moves.links(touched, records)
        account.wrote |= touched
        unique = set(records)
        unique.discard(b"")
        if touched:
            unique -= {k + p for p in touched for k in _ALL_PATH_KINDS}
        known = self._tree.record_facts
        if account.make:
            slow = list(unique)
        else:
            slow = list(unique.difference(known))
            account.facts.update(map(known.__getitem__, unique.difference(slow)))
        account.facts |= told
        seen = _Seen(unique, told, known) if told else unique
        for record in slow:
            self._one(account, record, seen)
        if touched:
            self._writes.take(account, records, writes, touched)
        self._listings.close(account, seen)

    def look_again(self, account: Account) -> None:
        """At the end of a step with a make in it: what it kept open for writing has grown since."""
        self._writes.look_again(account)

    # -- one record -----------------------------------------------------------------------------------------------

    def _one(self, account: Account, record: bytes, unique: Container[bytes]) -> None:
        kind = record[:1]
        if record[1:2] != b"/" and kind in _PATH_LETTERS:
            account.unseen = account.unseen or _NO_RECORD
        elif (special := _SPECIAL.get(kind)) is not None:
            special(self, account, record[1:])
        elif (fact_kind := LOOK_KINDS.get(kind)) == ABSENT:
            self._reads.absent(account, record, unique)
        elif fact_kind is not None:
            self._reads.look(account, record, fact_kind)
        elif kind not in (letters.BEGUN, letters.OVER):
            account.unseen = account.unseen or _NO_RECORD

    def _list(self, account: Account, path: bytes) -> None:
        account.lists.setdefault(path, [])

    def _entry(self, account: Account, path: bytes) -> None:
        account.lists.setdefault(path.rpartition(b"/")[0] or b"/", []).append(path)

    def _listed(self, account: Account, path: bytes) -> None:
        account.lists.setdefault(path, []).append(b"")

    def _getenv(self, account: Account, name: bytes) -> None:
        # Compilers look for the jobserver in it (gcc's LTO); who really uses it is a shell or make, seen otherwise.
        if name != b"MAKEFLAGS":
            account.names.add(name)

    def _reader(self, account: Account, text: bytes) -> None:
        account.readers.add(text)

    def _intermediate(self, account: Account, path: bytes) -> None:
        account.intermediates.add(path)

    def _environ(self, account: Account, _program: bytes) -> None:
        account.names.add(WHOLE)
        self._knows(account)

    def _script(self, account: Account, path: bytes) -> None:
        self._shell(account, self._scripts.names(path))

    def _text(self, account: Account, text: bytes) -> None:
        self._shell(account, variables_in(text))

    def _shell(self, account: Account, names: AbstractSet[bytes]) -> None:
        account.shell = True
        account.placed |= HERE in names
        account.names |= names - {HERE}
        self._knows(account)

    def _place(self, account: Account, program: bytes) -> None:
        # Compilers name it in full, where it can be found, or not at all. Of shells it is their text that tells.
        account.placed |= program.rpartition(b"/")[2] not in SHELLS and not _COMPILER.search(program)

    def _host(self, account: Account, name: bytes) -> None:
        if name[:1] == b"?":
            account.knows.add(name[1:])
            self._knows(account)
            return
        tree = self._tree
        account.facts.add(tree.fact_now(READ, tree.tables.path(name)))

    def _knows(self, account: Account) -> None:
        """What shells know of themselves counts where a variable is named that they set to it, or might be."""
        for name in account.knows:
            fact, set_to_it = _SETS[name]
            if not account.names.isdisjoint(set_to_it):
                self._host(account, fact)

    def _make(self, account: Account, _path: bytes) -> None:
        account.make = True

    def _goal(self, account: Account, name: bytes) -> None:
        account.goal = account.goal or name

    def _said(self, account: Account, _program: bytes) -> None:
        account.said = True

    def _decides(self, account: Account, path: bytes) -> None:
        account.decides.add(path)

    def _unseen(self, account: Account, why: bytes) -> None:
        account.unseen = account.unseen or why or b"unknown"


_COMPILER = re.compile(
    rb"/(?:cc1\w*|lto1|f951|rustc|rustup|collect2|lto-wrapper|(?:[\w.]+-)*(?:g?cc|[gc]\+\+|clang(?:\+\+)?|as|ld(?:\.\w+)?|ar|ranlib|nm|strip|objcopy|objdump|readelf))(?:-[\d.]+)?$"
)
_SETS = {
    b"user": (b"user", frozenset((WHOLE, *b"UID EUID GID EGID GROUPS USERNAME".split()))),
    b"account": (b"user", frozenset((WHOLE, *b"HOME SHELL USER USERNAME LOGNAME PS0 PS1 PS2 PS4".split()))),
    b"uname": (b"uname", frozenset((WHOLE, *b"HOST HOSTNAME HOSTTYPE MACHTYPE".split()))),
}
_ALL_PATH_KINDS = (*WRITE_LETTERS, *LOOK_KINDS)
_PATH_LETTERS = frozenset(
    {*_ALL_PATH_KINDS, letters.LIST, letters.ENTRY, letters.LISTED, letters.SCRIPT, letters.MAKE_REMOVED}
)
_SPECIAL: dict[bytes, Callable[[Accountant, Account, bytes], None]] = {
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
    letters.PLACE: Accountant._place,
    letters.MAKE: Accountant._make,
    letters.GOAL: Accountant._goal,
    letters.DECIDES: Accountant._decides,
    letters.SAID: Accountant._said,
    letters.UNSEEN: Accountant._unseen,
}
