"""What a step saw of a directory's names: as they were when it started."""

from collections.abc import Callable, Container
from posixpath import basename

from hashmake.judge.account import Account
from hashmake.judge.tree import Tree
from hashmake.model.kinds import LIST
from hashmake.model.letters import LISTED
from hashmake.model.names import STATE_NAME
from hashmake.model.tables import NO_VALUE

_TEMPORARY_DIRECTORIES = frozenset({b"/tmp", b"/var/tmp", b"/dev/shm"})


class Listings:
    """Closes the listings in the accounts of steps.

    own          the state directory: no name of ours is anybody's input
    temporaries  paths that came and went in this build
    in_flight    paths that plain steps beside this one have written so far
    """

    def __init__(
        self, tree: Tree, own: bytes, temporaries: set[bytes], in_flight: Callable[[Account], set[bytes]]
    ) -> None:
        self._tree = tree
        self._own = own
        self._temporaries = temporaries
        self._in_flight = in_flight

    def close(self, account: Account, unique: Container[bytes]) -> None:
        """A listing counts as the step saw it when it started: without what it, or a step beside it, was making."""
        if not account.lists:
            return
        tree = self._tree
        others: set[bytes] | None = None
        for directory in list(account.lists):
            if directory in _TEMPORARY_DIRECTORIES or directory in account.wrote:
                del account.lists[directory]
                continue
            if LISTED + directory not in unique and account.make:
                continue  # make is still at it
            entries = account.lists.pop(directory)
            pid = tree.tables.path(directory)
            if account.internal(self._tree, pid):
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
            names.append(basename(path))
        return names
