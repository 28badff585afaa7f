"""A step that another machine runs: its inputs as a tree of digests, its products, its trace (judge/sending.py).

The tree holds everything that the step reads, at its own path from the top: the machine needs to give it nothing but
/proc, /dev and /tmp, and has to take the tree for its root (buildbox-casd with bubblewrap does). Beside it lie our
launcher and interposer, in a directory of their own.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from hashmake.judge.sending import Job
from hashmake.store.remote import RemoteStore
from hashmake.store.upload import Digest, Upload, message

PLACE = b"/.hashmake"  # of the launcher, the interposer and the trace
TRACE = b".hashmake/t/1"
_Node = dict[str, Any]  # name -> a directory, the target of a link, or a file: digest and whether it is executable
_EXECUTABLE = b"x"


class Outcome(NamedTuple):
    """What came back: exit status, products (content, whether executable) by path, the trace, what was printed."""

    code: int
    files: dict[bytes, tuple[bytes, bool]]
    trace: bytes
    out: bytes
    err: bytes


class Execution:
    """One step, sent. All but its beginning belongs to the client's thread."""

    def __init__(
        self,
        store: RemoteStore,
        job: Job,
        sums: dict[bytes, bytes],
        tools: dict[bytes, bytes],
        deadline_s: float,
        then: Callable[[Outcome | None], None],
    ) -> None:
        """Send it.

        sums   SHA-256 of each version in the job
        tools  contents that lie in PLACE, by name; all of them executable
        then   is called in the client's thread; None: it has to run here
        """
        self._store = store
        self._client = store.client
        self._job = job
        self._sums = sums
        self._tools = tools
        self._deadline_s = deadline_s
        self._then = then
        self._small: dict[bytes, bytes] = {}
        self._sources: dict[bytes, tuple[bytes, bytes]] = {}  # path and version of those that lie somewhere
        self._sizes: dict[bytes, int] = {}
        self._outcome: Outcome | None = None
        store.client.put(self._begin)

    def _begin(self) -> None:
        if self._client.off or not self._client.executes:
            self._then(None)
            return
        try:
            action = self._action(self._directory(self._tree()))
        except (UnicodeDecodeError, TypeError, AttributeError):
            self._then(None)  # a name that the API can't say, or a directory where a file should be
            return
        client, store = self._client, self._store
        wanted = list(self._sizes.items())

        def there(failed: set[bytes]) -> None:
            if failed:
                self._then(None)
            else:
                client.execute(message(client, action), self._deadline_s, self._ended)

        Upload(client, store.there, store.figures, wanted, self._load, there)

    def _load(self, sha: bytes) -> bytes | None:
        small = self._small.get(sha)
        return small if small is not None else self._store.content_of(*self._sources[sha])

    # -- what is sent -------------------------------------------------------------------------------------------------

    def _tree(self) -> _Node:
        root: _Node = {}
        for path in (*self._job.directories, PLACE + b"/t"):
            _directory_in(root, path)
        for path, version in self._job.files.items():
            sha, size = self._sums[version], int.from_bytes(version[2:10], "little")
            self._sources[sha] = (path, version)
            self._sizes[sha] = size
            _put(root, path, ((sha, size), version[1:2] == _EXECUTABLE))
        for path, target in self._job.links.items():
            _put(root, path, target.decode())
        for name, content in self._tools.items():
            _put(root, PLACE + b"/" + name, (self._small_one(content), True))
        return root

    def _small_one(self, content: bytes) -> Digest:
        sha = hashlib.sha256(content).digest()
        self._small[sha] = content
        self._sizes[sha] = len(content)
        return sha, len(content)

    def _directory(self, node: _Node) -> Digest:
        """A directory and all below it, each as the API has it: names in order."""
        client = self._client
        files, directories, links = [], [], []
        for name, held in sorted(node.items()):
            if isinstance(held, dict):
                directories.append(
                    client.message("DirectoryNode", name=name, digest=message(client, self._directory(held)))
                )
            elif isinstance(held, str):
                links.append(client.message("SymlinkNode", name=name, target=held))
            else:
                digest = message(client, held[0])
                files.append(client.message("FileNode", name=name, digest=digest, is_executable=held[1]))
        return self._small_one(client.serialized("Directory", files=files, directories=directories, symlinks=links))

    def _action(self, root: Digest) -> Digest:
        client, job, endpoint = self._client, self._job, self._store.endpoint
        pairs = [entry.decode().partition("=") for entry in job.block.split(b"\0") if entry]
        variables = {name: value for name, _equals, value in pairs}
        platform = client.message(
            "Platform", properties=[client.message("Property", name=n, value=v) for n, v in endpoint.platform]
        )
        command = client.serialized(
            "Command",
            arguments=[text.decode() for text in (PLACE + b"/hmstep", b"--afar", job.cwd, *job.words)],
            environment_variables=[
                client.message("EnvironmentVariable", name=n, value=v) for n, v in sorted(variables.items())
            ],
            output_paths=sorted(path.decode().lstrip("/") for path in (*job.outputs, TRACE)),
            platform=platform,
        )
        return self._small_one(
            client.serialized(
                "Action",
                command_digest=message(client, self._small_one(command)),
                input_root_digest=message(client, root),
                salt=endpoint.salt,
                platform=platform,
            )
        )

    # -- what comes back ----------------------------------------------------------------------------------------------

    def _ended(self, answer: Any, _status: str) -> None:
        if answer is None or answer.result.exit_code:
            self._then(None)  # a failure is the step's own, or not: here it tells
            return
        result = answer.result
        wanted: dict[bytes, tuple[Digest, bool]] = {
            b"/" + file.path.encode(): (_digest(file.digest), file.is_executable) for file in result.output_files
        }
        raw = {b"out": result.stdout_raw, b"err": result.stderr_raw}
        for name, digest in ((b"out", result.stdout_digest), (b"err", result.stderr_digest)):
            if not raw[name] and digest.size_bytes:
                wanted[name] = (_digest(digest), False)
        found: dict[bytes, tuple[bytes, bool] | None] = {}

        def came(path: bytes, executable: bool, content: bytes | None) -> None:
            found[path] = None if content is None else (content, executable)
            if len(found) == len(wanted):
                self._over(result.exit_code, raw, found)

        if not wanted:
            self._then(None)
        for path, (digest, executable) in wanted.items():
            self._store.want(digest, lambda content, p=path, x=executable: came(p, x, content))  # type: ignore[misc]

    def _over(self, code: int, raw: dict[bytes, bytes], found: dict[bytes, tuple[bytes, bool] | None]) -> None:
        files = {path: each for path, each in found.items() if each is not None}
        trace = files.pop(b"/" + TRACE, None)
        out, err = (files.pop(name, (raw[name], False))[0] for name in (b"out", b"err"))
        whole = trace is not None and None not in found.values()
        self._then(Outcome(code, files, trace[0], out, err) if whole and trace is not None else None)


def _directory_in(root: _Node, path: bytes) -> _Node:
    node = root
    for name in path.decode().split("/"):
        if name:
            node = node.setdefault(name, {})
    return node


def _put(root: _Node, path: bytes, held: object) -> None:
    parent, _, name = path.rpartition(b"/")
    _directory_in(root, parent)[name.decode()] = held


def _digest(given: Any) -> Digest:
    return bytes.fromhex(given.hash), given.size_bytes
