"""While steps run: what their traces say by now is taken into their accounts."""

from hashmake.judge.account import Account
from hashmake.judge.accountant import Accountant
from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import Running
from hashmake.judge.world import OpenTrace
from hashmake.model import letters


class Intake:
    """See the module's text."""

    def __init__(self, evaluation: Evaluation, own_directory: bytes, open_trace: OpenTrace) -> None:
        """`own_directory`: where the state is."""
        self._evaluation = evaluation
        self._open_trace = open_trace
        self._accountant = Accountant(evaluation.tree, evaluation.disk, own_directory, self._in_flight)

    def take_in(self, running: Running) -> None:
        """What a step that contains make has done by now (its other steps are taken in when they end)."""
        if running.account.make:
            self.absorb(running, running.trace.records(final=False), False)

    def make_started(self, number: int, captured: int) -> None:
        """A make process came up in a step: all that the step wrote must be known before it evaluates.

        `captured`: those of its streams that somebody reads (model/printed.py).
        """
        running = self._evaluation.running.get(number)
        if running is not None:
            running.captured |= captured
            if not running.account.make:
                running.account.make = True
            self.take_in(running)

    def at_end(self, running: Running) -> None:
        """A step has ended: all that it told since the last call."""
        summary = running.summary
        if (
            summary is not None
            and running.trace.confirm(summary.tail)
            and self._accountant.sum_of(running.account, summary)
        ):
            self._settle(running)
        else:
            self.absorb(running, running.trace.records(final=True), True)

    def absorb(self, running: Running, records: list[bytes], final: bool) -> None:
        """Records that came since the last call."""
        account = running.account
        self._accountant.absorb(account, records)
        if final and account.make:
            self._accountant.look_again(account)
        self._settle(running)

    def _settle(self, running: Running) -> None:
        """What has been written becomes a product of this goal; a composite's own writes are events in it."""
        account = running.account
        if account.fresh:
            if account.make:
                running.events.extend(account.fresh)
                for pid, pre, post in account.fresh:
                    # What else a composite does to products of steps below (a script that calls make moves or strips
                    # them) can't be done again by itself: they are made again for it.
                    if self._evaluation.tree.tables.paths[pid] in account.intermediates:
                        self._evaluation.recording.learn_own_write(pid, pre, post)
            self._mark_products(account)
            account.fresh = []

    def _mark_products(self, account: Account) -> None:
        for pid, found, post in account.fresh:
            self._evaluation.recording.product(
                self._evaluation.goal,
                pid,
                found,
                post,
                self._evaluation.tree.made_at.get(pid, self._evaluation.tree.seq),
            )

    def about_to_change(self, number: int, path: bytes) -> None:
        """A step will write a file that was there before the build: what it holds is known now or never."""
        running = self._evaluation.running.get(number)
        pid = self._evaluation.tree.tables.path_ids.get(path)
        if running is None or pid in self._evaluation.tree.state or path in running.account.before:
            return
        version = self._evaluation.disk.own(path)
        if version and not self._evaluation.disk.changed_since(path, running.account.started_ns):
            running.account.before[path] = version

    def _in_flight(self, account: Account) -> set[bytes]:
        """Paths that plain steps now running beside this one have written so far."""
        paths: set[bytes] = set()
        for other in self._evaluation.running.values():
            if other.account is not account and not other.account.make:
                for record in self._open_trace(other.number).so_far():
                    if record[:1] in (letters.WRITE, letters.MOVEDIR_TO):
                        paths.add(record[1:])
        return paths
