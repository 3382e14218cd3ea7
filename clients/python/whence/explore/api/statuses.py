"""Failures as HTTP responses: a ``google.rpc.Status`` in JSON, and the HTTP status that Google maps its code to."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any, Final

import grpc
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2, status_pb2
from starlette.responses import Response

from whence._channel import RequestMessage
from whence._failures import explain_failure
from whence.errors import WhenceError
from whence.status import DETAILS_KEY, to_wire

JSON: Final = "application/json"
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
HTTP_STATUS: Final = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}
_BY_NUMBER: Final = {code.value[0]: http for code, http in HTTP_STATUS.items()}


class HttpRefusal(Exception):  # noqa: N818 - a request that is refused before any call
    """An error that HTTP has a status of its own for."""

    def __init__(self, http_status: int, error: WhenceError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error.message)
        self.http_status = http_status
        self.error = error
        self.headers = dict(headers or {})


def of_error(error: WhenceError) -> status_pb2.Status:
    """Return the status that carries an error of ours."""
    ((_, data),) = to_wire(error).trailing_metadata
    return status_pb2.Status.FromString(data)


def of_failure(failure: grpc.RpcError, request: RequestMessage, target: str) -> status_pb2.Status:
    """Return the status of a failed call: the server's own, details included, or what the transport says of it."""
    metadata: Any = failure.trailing_metadata() or ()  # pairs, in a type of the sync or of the asyncio client
    for key, value in metadata:
        if key == DETAILS_KEY:
            return status_pb2.Status.FromString(value)
    return of_error(explain_failure(failure, request, target))


def to_json(status: status_pb2.Status) -> bytes:
    """Return a status as one line of JSON."""
    details = [_detail(packed) for packed in status.details]
    document = {"code": status.code, "message": status.message, "details": details}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def response(
    status: status_pb2.Status, *, http_status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response that a status is sent as."""
    http_status = http_status or _BY_NUMBER.get(status.code, 500)
    more = {"WWW-Authenticate": "Bearer"} if http_status == 401 else {}
    delay_s = _retry_delay_s(status)
    if delay_s is not None:
        more["Retry-After"] = str(max(1, math.ceil(delay_s)))
    return Response(to_json(status), http_status, {**more, **(headers or {})}, JSON)


def _retry_delay_s(status: status_pb2.Status) -> float | None:
    retry = error_details_pb2.RetryInfo()
    for packed in status.details:
        if packed.Unpack(retry):
            return float(retry.retry_delay.ToMilliseconds() / 1000)
    return None


def _detail(packed: any_pb2.Any) -> dict[str, Any]:
    try:
        return json_format.MessageToDict(packed, always_print_fields_with_no_presence=True)
    except TypeError:  # of a type that this version does not know
        return {"@type": packed.type_url, "value": base64.b64encode(packed.value).decode()}
