"""Messages of the Remote Execution API, version 2, and of the services beside it, as far as hashmake uses them.

Names, numbers and types of fields are those of remote_execution.proto, bytestream.proto and status.proto
(https://github.com/bazelbuild/remote-apis). They are built here, in a pool of their own: generated modules would be
called `build`, as the packaging tool is, fit one major version of protobuf only, and clash with another copy of the
same messages in one process.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "hashmake.wire"
# A message: its fields as name:type=number, `*` before the type of those that repeat.
_MESSAGES = {
    "Status": "code:int32=1 message:string=2",
    "Digest": "hash:string=1 size_bytes:int64=2",
    "EnvironmentVariable": "name:string=1 value:string=2",
    "Property": "name:string=1 value:string=2",
    "Platform": "properties:*Property=1",
    "Command": "arguments:*string=1 environment_variables:*EnvironmentVariable=2 platform:Platform=5"
    " working_directory:string=6 output_paths:*string=7",
    "Duration": "seconds:int64=1",
    "Action": "command_digest:Digest=1 input_root_digest:Digest=2 timeout:Duration=6 do_not_cache:bool=7 salt:bytes=9"
    " platform:Platform=10",
    "FileNode": "name:string=1 digest:Digest=2 is_executable:bool=4",
    "DirectoryNode": "name:string=1 digest:Digest=2",
    "SymlinkNode": "name:string=1 target:string=2",
    "Directory": "files:*FileNode=1 directories:*DirectoryNode=2 symlinks:*SymlinkNode=3",
    "OutputFile": "path:string=1 digest:Digest=2 is_executable:bool=4",
    "ActionResult": "output_files:*OutputFile=2 exit_code:int32=4 stdout_raw:bytes=5 stdout_digest:Digest=6"
    " stderr_raw:bytes=7 stderr_digest:Digest=8",
    "ExecuteRequest": "instance_name:string=1 skip_cache_lookup:bool=3 action_digest:Digest=6",
    "Any": "type_url:string=1 value:bytes=2",
    "Operation": "name:string=1 done:bool=3 error:Status=4 response:Any=5",
    "ExecuteResponse": "result:ActionResult=1 cached_result:bool=2 status:Status=3",
    "GetActionResultRequest": "instance_name:string=1 action_digest:Digest=2 inline_stdout:bool=3",
    "UpdateActionResultRequest": "instance_name:string=1 action_digest:Digest=2 action_result:ActionResult=3",
    "FindMissingBlobsRequest": "instance_name:string=1 blob_digests:*Digest=2",
    "FindMissingBlobsResponse": "missing_blob_digests:*Digest=2",
    "UpdateBlob": "digest:Digest=1 data:bytes=2 compressor:int32=3",
    "BatchUpdateBlobsRequest": "instance_name:string=1 requests:*UpdateBlob=2",
    "UpdatedBlob": "digest:Digest=1 status:Status=2",
    "BatchUpdateBlobsResponse": "responses:*UpdatedBlob=1",
    "BatchReadBlobsRequest": "instance_name:string=1 digests:*Digest=2 acceptable_compressors:*int32=3",
    "ReadBlob": "digest:Digest=1 data:bytes=2 status:Status=3 compressor:int32=4",
    "BatchReadBlobsResponse": "responses:*ReadBlob=1",
    "GetCapabilitiesRequest": "instance_name:string=1",
    "ExecutionCapabilities": "digest_function:int32=1 exec_enabled:bool=2",
    "ServerCapabilities": "cache_capabilities:CacheCapabilities=1 execution_capabilities:ExecutionCapabilities=2",
    "UpdateCapabilities": "update_enabled:bool=1",
    "CacheCapabilities": "digest_functions:*int32=1 action_cache_update_capabilities:UpdateCapabilities=2"
    " max_batch_total_size_bytes:int64=4 supported_compressors:*int32=6"
    " supported_batch_update_compressors:*int32=7",
    "ReadRequest": "resource_name:string=1 read_offset:int64=2 read_limit:int64=3",
    "ReadResponse": "data:bytes=10",
    "WriteRequest": "resource_name:string=1 write_offset:int64=2 finish_write:bool=3 data:bytes=10",
    "WriteResponse": "committed_size:int64=1",
}
_TYPES = {"bool": 8, "bytes": 12, "int32": 5, "int64": 3, "string": 9}  # FieldDescriptorProto.Type
_MESSAGE = 11
_ONE, _MANY = 1, 3  # FieldDescriptorProto.Label

SHA256 = 1  # DigestFunction.Value


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="hashmake/wire.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields.split():
            said, _, number = text.partition("=")
            field, _, kind = said.partition(":")
            label = _MANY if kind.startswith("*") else _ONE
            kind = kind.removeprefix("*")
            if kind in _TYPES:
                message.field.add(name=field, number=int(number), type=_TYPES[kind], label=label)
            else:
                type_name = f".{_PACKAGE}.{kind}"
                message.field.add(name=field, number=int(number), type=_MESSAGE, type_name=type_name, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


MESSAGE = _classes()  # by name


def digest(sha256: bytes, size: int) -> Any:
    """The Digest of a content."""
    return MESSAGE["Digest"](hash=sha256.hex(), size_bytes=size)
