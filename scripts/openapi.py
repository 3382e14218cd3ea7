"""Writes ``whence/explore/api/openapi.json``, the OpenAPI document of the JSON API, from ``proto/``.

With --check it only compares. The descriptors are buf's, which have the comments of the files; those in the Python
modules have none. Answers have every field that has no presence, so those are required of messages that are sent in
answers alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import generated_blocks
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from whence import __version__
from whence.explore.api.methods import METHODS, Method

DOCUMENT: Final = generated_blocks.ROOT / "clients" / "python" / "whence" / "explore" / "api" / "openapi.json"
_PACKAGE: Final = "whence.v1"
_REFERENCE: Final = "#/components/schemas/"
# Places of parts of a file in its source information: the numbers of its descriptor's fields.
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _METHODS, _VALUES = 4, 5, 6, 2, 2, 2
_NON_FINITE: Final = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
_KINDS: Final[dict[int, dict[str, Any]]] = {
    FieldDescriptorProto.TYPE_DOUBLE: {"oneOf": [{"type": "number", "format": "double"}, _NON_FINITE]},
    FieldDescriptorProto.TYPE_FLOAT: {"oneOf": [{"type": "number", "format": "float"}, _NON_FINITE]},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    # Written as text, because not every reader of JSON has integers of 64 bits; numbers are taken, too.
    FieldDescriptorProto.TYPE_INT64: {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"},
    FieldDescriptorProto.TYPE_UINT64: {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
_DESCRIPTION: Final = """\
Training data attribution of language models, by the methods of `whence.v1.AttributionService` as JSON over HTTP.

Bodies follow protobuf's JSON mapping. Fields may be named as here or as in the proto files, and one that is not known
is refused. Answers have every field that has no presence. Numbers of 64 bits are text, bytes are base64, and a tensor's
bytes are its elements, little-endian. A failed call has the HTTP status of its code and a `Status` as its body:
docs/http.md."""
_BEARER: Final = "An API key or a token of the server's issuer. The page of a machine's own user needs none."
_OF_THE_PROCESS: Final[dict[str, Any]] = {
    "/healthz": {
        "get": {
            "operationId": "Healthz",
            "description": "Returns whether this process answers. The server behind it is not asked.",
            "responses": {
                "200": {
                    "description": "It answers.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["status", "cspViolations"],
                                "properties": {"status": {"const": "ok"}, "cspViolations": {"type": "integer"}},
                            }
                        }
                    },
                }
            },
        }
    }
}
_STATUS: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Why a call failed: a google.rpc.Status. Match on the reason of its ErrorInfo.",
    "required": ["code", "message", "details"],
    "additionalProperties": False,
    "properties": {
        "code": {"type": "integer", "format": "int32", "description": "The canonical code, such as 3."},
        "message": {"type": "string", "description": "For people."},
        "details": {
            "type": "array",
            "description": "One google.rpc.ErrorInfo with `reason`, `domain` and `metadata`; a google.rpc.BadRequest "
            "where a field is wrong; a google.rpc.RetryInfo where to call again after `retryDelay`.",
            "items": {
                "type": "object",
                "required": ["@type"],
                "properties": {"@type": {"type": "string"}, "reason": {"type": "string"}},
                "additionalProperties": True,
            },
        },
    },
}
_HEADERS: Final = {
    "Grpc-Timeout": ("The deadline: at most 8 digits and a unit, H, M, S, m (milli), u or n.", "^[0-9]{1,8}[HMSmun]$"),
    "X-Request-Id": ("Names the call where the body does not.", "^[!-~]{1,128}$"),
    "traceparent": ("The W3C context of the caller's trace, which is passed on.", ""),
}


class Source:
    """A file of the protocol, with the comments of its parts by their place in it."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self.file = file
        self._comments = {
            tuple(location.path): " ".join(location.leading_comments.split())
            for location in file.source_code_info.location
        }

    def comment(self, *place: int) -> str:
        """Return the comment before a part."""
        return self._comments.get(place, "")


def sources() -> list[Source]:
    """Return the files of the public protocol, with their comments."""
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or "buf"
    command = [buf, "build", "--output", "-#format=binpb", "--path", "proto/whence/v1"]
    built = subprocess.run(command, cwd=generated_blocks.ROOT, capture_output=True, check=True)
    files = FileDescriptorSet.FromString(built.stdout).file
    return [Source(file) for file in files if file.package == _PACKAGE]


def document(files: list[Source]) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Whence", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "paths": {**paths(files), **_OF_THE_PROCESS},
        "components": {
            "schemas": schemas(files),
            "headers": {"X-Request-Id": {"description": "Names the call in logs.", "schema": {"type": "string"}}},
            "parameters": {name: _parameter(name, *said) for name, said in _HEADERS.items()},
            "responses": {"Failed": _response("It failed.", "application/json", "Status")},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER}},
        },
    }


def paths(files: list[Source]) -> dict[str, Any]:
    """Return the path of each method."""
    (source, service) = next((source, source.file.service[0]) for source in files if source.file.service)
    described = {
        method.name: source.comment(_SERVICES, 0, _METHODS, place) for place, method in enumerate(service.method)
    }
    return {method.path: {"post": _operation(method, described[method.name])} for method in METHODS}


def _operation(method: Method, comment: str) -> dict[str, Any]:
    answer = method.response.DESCRIPTOR.name
    return {
        "operationId": method.name,
        "description": comment,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in _HEADERS],
        "requestBody": {"content": {"application/json": {"schema": _reference(method.request.DESCRIPTOR.name)}}},
        "responses": {
            "200": _lines(answer) if method.streams else _response("The answer.", "application/json", answer),
            "default": {"$ref": "#/components/responses/Failed"},
        },
    }


def _lines(answer: str) -> dict[str, Any]:
    line = {
        "oneOf": [
            {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: schema}}
            for name, schema in (("result", _reference(answer)), ("error", _reference("Status")))
        ]
    }
    described = "Lines, each an object of this schema; `error` is in the last one alone, where the call failed."
    response = _response(described, "application/x-ndjson", answer)
    return {**response, "content": {"application/x-ndjson": {"schema": line}}}


def _response(description: str, kind: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": {kind: {"schema": _reference(schema)}},
    }


def _parameter(name: str, description: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", **({"pattern": pattern} if pattern else {})}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def schemas(files: list[Source]) -> dict[str, Any]:
    """Return the schemas of all messages and enumerations, by name."""
    asked = _reachable({method.request.DESCRIPTOR for method in METHODS})
    named: dict[str, Any] = {"Status": _STATUS}
    for source in files:
        for place, message in enumerate(source.file.message_type):
            named[message.name] = _message(source, message, place, is_asked=message.name in asked)
        for place, enum in enumerate(source.file.enum_type):
            named[enum.name] = _enum(source, enum, place)
    return dict(sorted(named.items()))


def _reachable(messages: set[Any]) -> set[str]:
    """Return the names of the messages, and of those in their fields."""
    known: dict[str, Any] = {}
    waiting = list(messages)
    while waiting:
        message = waiting.pop()
        if message.name not in known:
            known[message.name] = message
            waiting += [field.message_type for field in message.fields if field.message_type is not None]
    return set(known)


def _message(source: Source, message: DescriptorProto, place: int, *, is_asked: bool) -> dict[str, Any]:
    maps = [nested.name for nested in message.nested_type if nested.options.map_entry]
    properties = {
        field.json_name: _described(_field(field, maps), source.comment(_MESSAGES, place, _FIELDS, number))
        for number, field in enumerate(message.field)
    }
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    always = [field.json_name for field in message.field if not _has_presence(field)]
    if always and not is_asked:
        schema["required"] = always
    return _described(schema, source.comment(_MESSAGES, place))


def _field(field: FieldDescriptorProto, maps: list[str]) -> dict[str, Any]:
    name = field.type_name.rpartition(".")[2]
    if name in maps:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if field.type_name == ".google.protobuf.Struct":
        return {"type": "object", "additionalProperties": True}
    item = _reference(name) if field.type_name else dict(_KINDS[field.type])
    return {"type": "array", "items": item} if field.label == FieldDescriptorProto.LABEL_REPEATED else item


def _has_presence(field: FieldDescriptorProto) -> bool:
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    is_message = field.type == FieldDescriptorProto.TYPE_MESSAGE
    return field.HasField("oneof_index") or (is_message and not repeated)


def _enum(source: Source, enum: EnumDescriptorProto, place: int) -> dict[str, Any]:
    values = [(value.name, source.comment(_ENUMS, place, _VALUES, number)) for number, value in enumerate(enum.value)]
    lines = [source.comment(_ENUMS, place), "", *(f"- `{name}`: {comment}" for name, comment in values)]
    return {"type": "string", "description": "\n".join(lines), "enum": [name for name, _ in values]}


def _described(schema: dict[str, Any], comment: str) -> dict[str, Any]:
    return {**schema, "description": comment} if comment else schema


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"{_REFERENCE}{name}"}


if __name__ == "__main__":
    generated_blocks.write(DOCUMENT, json.dumps(document(sources()), indent=1, ensure_ascii=False) + "\n")
