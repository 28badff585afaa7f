"""Our messages, as another copy of the API's definitions reads them."""

from __future__ import annotations

from typing import Any

import pytest
from buildstream._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as api
from buildstream._protos.google.bytestream import bytestream_pb2 as stream
from buildstream._protos.google.longrunning import operations_pb2
from buildstream._protos.google.rpc import status_pb2 as status
from google.protobuf import any_pb2, duration_pb2

from hashmake.store.wire import MESSAGE, digest

# Of those that are messages within others there: where.
THEIRS: dict[str, Any] = {
    "UpdateBlob": api.BatchUpdateBlobsRequest.Request,
    "UpdatedBlob": api.BatchUpdateBlobsResponse.Response,
    "ReadBlob": api.BatchReadBlobsResponse.Response,
    "EnvironmentVariable": api.Command.EnvironmentVariable,
    "Property": api.Platform.Property,
    "Duration": duration_pb2.Duration,
    "Any": any_pb2.Any,
    "Operation": operations_pb2.Operation,
    "UpdateCapabilities": api.ActionCacheUpdateCapabilities,
    "Status": status.Status,
    **{name: getattr(stream, name) for name in ("ReadRequest", "ReadResponse", "WriteRequest", "WriteResponse")},
}


def fill(message: Any, depth: int = 0) -> Any:
    """A value in every field."""
    for field in message.DESCRIPTOR.fields:
        if message.DESCRIPTOR.name == "Operation" and field.name == "error":
            continue  # there it is one of two: either this or `response`
        many = field.is_repeated
        if field.message_type is not None:
            inner = getattr(message, field.name)
            fill(inner.add() if many else inner, depth + 1)
            continue
        value: Any = {"STRING": f"s{field.number}", "BYTES": b"b%d" % field.number, "BOOL": True}.get(
            {9: "STRING", 12: "BYTES", 8: "BOOL"}.get(field.type, ""), 1 if depth else field.number
        )
        if many:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


@pytest.mark.parametrize("name", MESSAGE)
def test_a_message_is_what_the_api_says(name: str) -> None:
    """Same names, same numbers, same types: nothing of it is unknown to the other copy, and it says the same again."""
    ours = fill(MESSAGE[name]())
    theirs = (THEIRS.get(name) or getattr(api, name)).FromString(ours.SerializeToString())
    assert theirs.SerializeToString(deterministic=True) == ours.SerializeToString(deterministic=True)
    for field, _value in ours.ListFields():
        value = getattr(theirs, field.name)
        assert value or (field.is_repeated and len(value)), field.name


def test_digest() -> None:
    assert digest(bytes(range(32)), 7).SerializeToString() == api.Digest(
        hash=bytes(range(32)).hex(), size_bytes=7
    ).SerializeToString(deterministic=True)
