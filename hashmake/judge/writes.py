"""What a step wrote: which version was there before, and which it left behind."""

from posixpath import dirname

from hashmake.judge.account import Account
from hashmake.judge.reads import LOOK_KINDS
from hashmake.judge.tree import Tree
from hashmake.judge.world import DiskLike
from hashmake.model import digest
from hashmake.model.kinds import ABSENT, EXISTS, NEVER, as_seen
from hashmake.model.tables import NO_VALUE, PathId, ValueId

WRITE_LETTERS = frozenset({b"w", b"u", b"m", b"M", b"t", b"c"})


class Writes:
    """Takes what steps wrote into their accounts, and moves the tree on by it.

    own          the state directory, which is in no account
    temporaries  paths that came and went in this build: filled here
    """

    def __init__(self, tree: Tree, disk: DiskLike, own: bytes, temporaries: set[bytes]) -> None:
        self._tree = tree
        self._disk = disk
        self._own = own
        self._temporaries = temporaries

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

    def take(self, account: Account, records: list[bytes], writes: list[bytes], touched: set[bytes]) -> None:
        """All paths that the step touched, in the order in which it last wrote them."""
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

    def _written_path(self, account: Account, path: bytes, first: dict[bytes, int], was: bytes | None) -> None:
        tree = self._tree
        if path not in tree.tables.path_ids and b"w" + path in first and not self._disk.is_there(path):
            self._temporaries.add(path)
            return  # a name that may never come again: not worth a number
        pid = tree.tables.path(path)
        never = len(first) + 10**9
        wrote_at = min(_moved_at(path, first) or never, *(first.get(k + path, never) for k in WRITE_LETTERS))
        earlier = [k for k in LOOK_KINDS if first.get(k + path, never) < wrote_at]
        before = account.outs.get(pid)
        known = tree.state.get(pid)
        if before is None and known is None:
            became = self._becomes_product(account, path, pid, earlier, first, was)
            if became is None:
                return
            pre = became
        else:
            pre = before[0] if before is not None else NO_VALUE if pid in account.anew else known or NO_VALUE
            if not account.internal(self._tree, pid):
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
            fact_kind = LOOK_KINDS[kind]
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
        touched = self._disk.touched_since(path, account.started_ns)
        if touched is None:
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
        if not written or not touched or was == self._disk.own(path):
            # The content is what it was; but make sees a new time, also when this step is skipped one day.
            for kind in earlier:
                account.facts.add(tree.fact_now(LOOK_KINDS[kind], pid))
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


def _moved_at(path: bytes, first: dict[bytes, int]) -> int:
    """When a directory came to this name or to that of a directory above it; 0: never."""
    while path.strip(b"/"):
        if b"M" + path in first:
            return first[b"M" + path]
        path = dirname(path)
    return 0
