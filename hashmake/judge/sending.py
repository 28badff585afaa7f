"""Steps that other machines may run: what has to be sent with one, and whether what came back is believed.

A step whose last run is known to the last file is sent with just these files, links and directories, as they are now,
at their own paths: tools, libraries and headers of the system among them, so nothing of the other machine has a say.
There it is traced as here. What it looked for and did not find there must be missing here as well, and all that it
left must have come back: else it runs here, and the next time more is known.
"""

from posixpath import dirname, join, normpath
from typing import NamedTuple

from hashmake.judge.evaluation import Evaluation
from hashmake.judge.running import Running
from hashmake.model import letters
from hashmake.model.kinds import ABSENT, LIST, LSTAT, NEVER, READ
from hashmake.model.result import COMPOSITE, FAILED, RECIPE, UNSEEN, Result
from hashmake.model.shelltext import calls_make
from hashmake.model.tables import NO_VALUE, PathId

_HARMLESS = (b"?user", b"?account", b"?uname")  # what a shell could have told of itself, had it been asked
_LINKS = 40  # in a row; beyond it nobody follows them
# What a trace may tell of a step that another machine has run. Of the rest (what it listed, who it was, which modes and
# times it set) a product's bytes do not tell.
_PLAIN = frozenset(
    (
        letters.READ,
        letters.ABSENT,
        letters.STAT,
        letters.LSTAT,
        letters.ACCESS,
        letters.WRITE,
        letters.REMOVE,
        letters.OVER,
        letters.GETENV,
        letters.ENVIRON,
        letters.SCRIPT,
        letters.TEXT,
        letters.PLACE,
    )
)


class Job(NamedTuple):
    """A step that is sent.

    words    path of the program, then its arguments
    block    its environment, NUL-joined
    files    path -> version of the content that lies there; links: path -> target
    outputs  what it left the last time
    """

    cwd: bytes
    words: list[bytes]
    block: bytes
    files: dict[bytes, bytes]
    links: dict[bytes, bytes]
    directories: set[bytes]
    outputs: list[bytes]


class _Unknown(Exception):
    """Something that can't be sent."""


class Sending:
    """See the module's text."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    def job(self, running: Running, last: Result | None) -> Job | None:
        """What to send for a step; None: it runs here."""
        if last is None or running.kind != RECIPE or not last.outs or calls_make(running.argv) or running.retried:
            return None
        tables = self._evaluation.tree.tables
        outputs = [(tables.paths[pid], tables.values[post]) for pid, _pre, post in last.outputs()]
        if last.flags & (COMPOSITE | UNSEEN | FAILED) or not all(
            self._evaluation.lies_inside(path) and version[:1] in (b"F", b"") for path, version in outputs
        ):
            return None
        job = Job(running.cwd, running.argv, running.environment.block, {}, {}, {running.cwd}, [p for p, _v in outputs])
        try:
            self._place(job, running.argv[0], follow=True)  # make's own word for it: /bin/sh
            for fid in last.facts:
                self._add(job, tables.fact_kind[fid], tables.paths[tables.fact_path[fid]])
        except _Unknown:
            return None
        job.directories.update(dirname(path) for path in job.outputs)
        job.directories.update(dirname(tables.paths[pid]) for pid in last.temps)
        return job

    def _add(self, job: Job, kind: int, path: bytes) -> None:
        """What a fact says was looked at. Raises _Unknown."""
        if kind == ABSENT:
            return
        if kind in (NEVER, LIST) or path[:1] != b"/":
            raise _Unknown
        real = self._place(job, path, follow=kind != LSTAT)
        if real in job.links:
            return
        if self._evaluation.disk.is_directory(real):
            job.directories.add(real)
            return
        version = self._version(real, LSTAT if kind == LSTAT else READ)
        if version[:1] == b"F":
            job.files[real] = version
        elif version[:1] not in (b"L", b""):
            raise _Unknown

    def _version(self, path: bytes, kind: int) -> bytes:
        tree = self._evaluation.tree
        return tree.seen(kind, tree.tables.path(path))

    def _link(self, path: bytes) -> bytes:
        """The version of a link; empty where none is. Nothing is remembered of a directory: steps write there."""
        version = self._version(path, LSTAT) if self._evaluation.disk.is_link(path) else b""
        return version if version[:1] == b"L" else b""

    def _place(self, job: Job, path: bytes, follow: bool) -> bytes:
        """The physical path that is meant; links on the way to it are sent. Raises _Unknown."""
        todo, done = [name for name in path.split(b"/") if name][::-1], b""
        links = 0
        while todo:
            here = done + b"/" + todo.pop()
            version = self._link(here) if todo or follow else b""
            if not version:
                done = here
                continue
            links += 1
            if links > _LINKS:
                raise _Unknown
            job.links[here] = version[1:]
            target = normpath(join(done or b"/", version[1:]))
            todo += [name for name in target.split(b"/") if name][::-1]
            done = b""
        last = b"" if follow else self._link(done)
        if last:
            job.links[done] = last[1:]
        return done or b"/"

    def agrees(self, records: list[bytes], came: set[bytes]) -> bool:
        """Whether a step would have done here what its trace says that it did there; `came`: the products there are."""
        written: set[bytes] = set()
        for record in records:
            letter, path = record[:1], record[1:]
            if letter not in _PLAIN and (letter != letters.HOST or path not in _HARMLESS):
                return False
            if letter == letters.WRITE:
                written.add(path)
            elif letter == letters.REMOVE:
                if path not in written and self._is_there(path):
                    return False
                written.discard(path)
            elif letter == letters.ABSENT and path not in written | came and self._is_there(path):
                return False
        return written <= came and all(map(self._evaluation.disk.is_directory, map(dirname, came)))

    def _is_there(self, path: bytes) -> bool:
        tree = self._evaluation.tree
        version = tree.state.get(tree.tables.path_ids.get(path, PathId(-1)))
        return self._evaluation.disk.is_there(path) if version is None else version != NO_VALUE
