"""Methods of the Remote Execution API, version 2, and of the services beside it, and what they answer."""

_V2 = "/build.bazel.remote.execution.v2."
CAPABILITIES = _V2 + "Capabilities/GetCapabilities"
GET_RESULT = _V2 + "ActionCache/GetActionResult"
UPDATE_RESULT = _V2 + "ActionCache/UpdateActionResult"
FIND_MISSING = _V2 + "ContentAddressableStorage/FindMissingBlobs"
BATCH_UPDATE = _V2 + "ContentAddressableStorage/BatchUpdateBlobs"
BATCH_READ = _V2 + "ContentAddressableStorage/BatchReadBlobs"
EXECUTE = _V2 + "Execution/Execute"
READ = "/google.bytestream.ByteStream/Read"
WRITE = "/google.bytestream.ByteStream/Write"
# Of each call: what is answered.
ANSWERS = {
    CAPABILITIES: "ServerCapabilities",
    GET_RESULT: "ActionResult",
    UPDATE_RESULT: "ActionResult",
    FIND_MISSING: "FindMissingBlobsResponse",
    BATCH_UPDATE: "BatchUpdateBlobsResponse",
    BATCH_READ: "BatchReadBlobsResponse",
    EXECUTE: "Operation",
    READ: "ReadResponse",
    WRITE: "WriteResponse",
}

IDENTITY, ZSTD = 0, 1  # Compressor.Value
