"""Contents that a server is to have: asked for which it lacks, these are sent, many in a message."""

from collections.abc import Callable, Iterable
from typing import Any

from hashmake.store.calls import BATCH_UPDATE, FIND_MISSING, ZSTD
from hashmake.store.client import REFUSED, Client
from hashmake.store.figures import Figures

Digest = tuple[bytes, int]
_ASKED = 20_000  # digests in a message


def message(client: Client, digest: Digest) -> Any:
    """A digest, as the API has it."""
    return client.message("Digest", hash=digest[0].hex(), size_bytes=digest[1])


class Upload:
    """See the module's text. Runs in the client's thread."""

    def __init__(
        self,
        client: Client,
        there: set[bytes],
        figures: Figures,
        wanted: Iterable[Digest],
        load: Callable[[bytes], bytes | None],
        then: Callable[[set[bytes]], None],
    ) -> None:
        """Send what is wanted.

        there  what the server is known to have; what is sent is added
        load   a content by its SHA-256; None: it is not to be had any more
        then   is called at the end with what the server has not got
        """
        self._client = client
        self._there = there
        self._figures = figures
        self._load = load
        self._then = then
        self._failed: set[bytes] = set()
        self._calls = 1
        unknown = [each for each in wanted if each[0] not in there and each[1]]
        for at in range(0, len(unknown), _ASKED):
            self._ask(unknown[at : at + _ASKED])
        self._called()

    def _ask(self, unknown: list[Digest]) -> None:
        self._calls += 1
        fields = {"blob_digests": [message(self._client, each) for each in unknown]}
        shas = {sha for sha, _size in unknown}
        self._client.call(
            FIND_MISSING, "FindMissingBlobsRequest", fields, lambda answer, _status: self._found(shas, answer)
        )

    def _found(self, asked: set[bytes], answer: Any) -> None:
        if answer is None:
            self._failed |= asked
            self._called()
            return
        missing = {bytes.fromhex(each.hash) for each in answer.missing_blob_digests} & asked
        self._there |= asked - missing
        batch: list[tuple[bytes, bytes]] = []
        size = 0
        for sha in missing:
            content = self._load(sha)
            if content is None:
                self._failed.add(sha)
                continue
            self._figures.sent += len(content)
            if len(content) > self._client.batch // 2:
                self._write(sha, content)
                continue
            if batch and size + len(content) > self._client.batch:
                self._send(batch)
                batch, size = [], 0
            batch.append((sha, content))
            size += len(content) + 128
        if batch:
            self._send(batch)
        self._called()

    def _write(self, sha: bytes, content: bytes) -> None:
        self._calls += 1
        self._client.write(sha, content, lambda answer, status: self._written([sha], answer, status))

    def _send(self, batch: list[tuple[bytes, bytes]]) -> None:
        shas = [sha for sha, _content in batch]
        self._calls += 1
        self._client.call(
            BATCH_UPDATE,
            "BatchUpdateBlobsRequest",
            {"requests": [self._blob(sha, content) for sha, content in batch]},
            lambda answer, status: self._written(shas, answer, status),
        )

    def _blob(self, sha: bytes, content: bytes) -> Any:
        client = self._client
        packed = client.packing.pack(content) if client.packs else None
        name = message(client, (sha, len(content)))
        if packed is None:
            return client.message("UpdateBlob", digest=name, data=content)
        return client.message("UpdateBlob", digest=name, data=packed, compressor=ZSTD)

    def _written(self, shas: list[bytes], answer: Any, status: str) -> None:
        if status in REFUSED:
            self._client.refused(status.lower().replace("_", " "))
            self._client.runs_nothing("it takes nothing of what steps read")
        bad = {each.digest.hash for each in getattr(answer, "responses", ()) if each.status.code}
        for sha in shas:
            if answer is None or sha.hex() in bad:
                self._failed.add(sha)
            else:
                self._there.add(sha)
        self._called()

    def _called(self) -> None:
        self._calls -= 1
        if not self._calls:
            self._then(self._failed)
