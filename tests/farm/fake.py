"""A cache server in this process, with all the faults that one can have; messages as BuildStream's copy has them."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import zstandard
from buildstream._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as api
from buildstream._protos.google.bytestream import bytestream_pb2 as stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_V2 = "build.bazel.remote.execution.v2."


class Fake:
    """See the module's text.

    blobs, results  what it holds, by SHA-256 in hexadecimal
    calls    names of the methods that were called, in order
    refuse   name of a method -> status with which it is refused
    batch    bytes that a message may carry, as announced
    damage   contents are given out with their first byte changed
    lose     contents are never found
    delay_s  before each answer
    packs    it takes and gives contents that zstd has compressed; packed: how many came so
    runs     it says that it runs steps
    busy     so many calls more are refused with RESOURCE_EXHAUSTED
    most     largest sum of contents that came in one message
    """

    def __init__(self, top: Path) -> None:
        self.endpoint = f"unix:{top}/fake.sock"
        self.blobs: dict[str, bytes] = {}
        self.results: dict[str, Any] = {}
        self.calls: list[str] = []
        self.refuse: dict[str, grpc.StatusCode] = {}
        self.batch = 0
        self.update_enabled = True
        self.damage = self.lose = self.packs = self.runs = False
        self.packed = 0
        self.delay_s = 0.0
        self.busy = self.most = 0
        self.metadata: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(16))
        services: dict[str, dict[str, tuple[Callable[..., Any], Any]]] = {
            _V2 + "Capabilities": {"GetCapabilities": (self._capabilities, api.GetCapabilitiesRequest)},
            _V2 + "ActionCache": {
                "GetActionResult": (self._get, api.GetActionResultRequest),
                "UpdateActionResult": (self._update, api.UpdateActionResultRequest),
            },
            _V2 + "ContentAddressableStorage": {
                "FindMissingBlobs": (self._missing, api.FindMissingBlobsRequest),
                "BatchUpdateBlobs": (self._take, api.BatchUpdateBlobsRequest),
                "BatchReadBlobs": (self._give, api.BatchReadBlobsRequest),
            },
        }
        for service, methods in services.items():
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(
                    self._guarded(name, method),
                    request_deserializer=request.FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, (method, request) in methods.items()
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        streams = {
            "Read": grpc.unary_stream_rpc_method_handler(
                self._read, stream.ReadRequest.FromString, lambda message: message.SerializeToString()
            ),
            "Write": grpc.stream_unary_rpc_method_handler(
                self._write, stream.WriteRequest.FromString, lambda message: message.SerializeToString()
            ),
        }
        handler = grpc.method_handlers_generic_handler("google.bytestream.ByteStream", streams)
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(self.endpoint)
        self._server.start()

    def stop(self) -> None:
        """End it."""
        self._server.stop(0).wait()

    def plans(self) -> list[str]:
        """Names of the results that are plans of goals."""
        return [name for name, r in self.results.items() if [file.path for file in r.output_files] == ["plan"]]

    def forget_plans(self) -> None:
        """They have not been used for long."""
        for name in self.plans():
            del self.results[name]

    def spoil_plans(self, content: bytes) -> None:
        """They say something else."""
        for name in self.plans():
            sha256 = hashlib.sha256(content).hexdigest()
            self.blobs[sha256] = content
            self.results[name].output_files[0].digest.hash = sha256
            self.results[name].output_files[0].digest.size_bytes = len(content)

    def _guarded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(request: Any, context: Any) -> Any:
            with self._lock:
                self.calls.append(name)
                self.metadata.append(dict(context.invocation_metadata()))
                busy = self.busy > 0 and name != "GetCapabilities"
                self.busy -= busy
            time.sleep(self.delay_s)
            if busy:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
            if name in self.refuse:
                context.abort(self.refuse[name], "not for you")
            return method(request, context)

        return guarded

    def _capabilities(self, _request: Any, _context: Any) -> Any:
        answer = api.ServerCapabilities()
        answer.execution_capabilities.exec_enabled = self.runs
        cache = answer.cache_capabilities
        cache.digest_functions.append(api.DigestFunction.SHA256)
        cache.action_cache_update_capabilities.update_enabled = self.update_enabled
        cache.max_batch_total_size_bytes = self.batch
        if self.packs:
            cache.supported_compressors.append(api.Compressor.ZSTD)
            cache.supported_batch_update_compressors.append(api.Compressor.ZSTD)
        return answer

    def _get(self, request: Any, context: Any) -> Any:
        found = self.results.get(request.action_digest.hash)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such result")
        return found

    def _update(self, request: Any, context: Any) -> Any:
        for file in request.action_result.output_files:
            if file.digest.hash not in self.blobs or file.path.startswith("/") or not file.path:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, file.path)
        if request.action_digest.hash not in self.blobs:
            pass  # the second level's Action; slots have none, and no server asks for it
        self.results[request.action_digest.hash] = request.action_result
        return request.action_result

    def _missing(self, request: Any, _context: Any) -> Any:
        answer = api.FindMissingBlobsResponse()
        answer.missing_blob_digests.extend(each for each in request.blob_digests if each.hash not in self.blobs)
        return answer

    def _take(self, request: Any, context: Any) -> Any:
        self.most = max(self.most, sum(len(each.data) for each in request.requests))
        if self.batch and self.most > self.batch:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too much at once")
        answer = api.BatchUpdateBlobsResponse()
        for each in request.requests:
            response = answer.responses.add(digest=each.digest)
            content = each.data
            if each.compressor == api.Compressor.ZSTD and self.packs:
                content = zstandard.ZstdDecompressor().decompress(content)
                self.packed += 1
            if hashlib.sha256(content).hexdigest() != each.digest.hash:
                response.status.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
            else:
                self.blobs[each.digest.hash] = content
        return answer

    def _content(self, sha256: str) -> bytes | None:
        content = self.blobs.get(sha256)
        if content is None or self.lose:
            return None
        return bytes([content[0] ^ 1]) + content[1:] if self.damage and content else content

    def _give(self, request: Any, _context: Any) -> Any:
        answer = api.BatchReadBlobsResponse()
        for each in request.digests:
            response = answer.responses.add(digest=each)
            content = self._content(each.hash)
            if content is None:
                response.status.code = grpc.StatusCode.NOT_FOUND.value[0]
            elif self.packs and api.Compressor.ZSTD in request.acceptable_compressors:
                response.data = zstandard.ZstdCompressor().compress(content)
                response.compressor = api.Compressor.ZSTD
            else:
                response.data = content
        return answer

    def _read(self, request: Any, context: Any) -> Iterator[Any]:
        self.calls.append("Read")
        content = self._content(request.resource_name.split("/")[-2])
        if content is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such content")
        data = content or b""
        if "/zstd/" in "/" + request.resource_name:
            data = zstandard.ZstdCompressor().compress(data)
        for at in range(0, len(data), 1000):
            yield stream.ReadResponse(data=data[at : at + 1000])

    def _write(self, requests: Iterator[Any], _context: Any) -> Any:
        self.calls.append("Write")
        name, data = "", b""
        for request in requests:
            name = name or request.resource_name
            data += request.data
        sha256 = name.split("/")[-2]
        committed = len(data)
        if "compressed-blobs/zstd/" in name:
            data = zstandard.ZstdDecompressor().decompress(data)
            self.packed += 1
        if hashlib.sha256(data).hexdigest() == sha256:
            self.blobs[sha256] = data
        return stream.WriteResponse(committed_size=committed)
