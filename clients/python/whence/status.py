"""Errors as gRPC statuses, and back.

On the wire an error is a ``google.rpc.Status`` with at most one each of ``ErrorInfo`` (always), ``BadRequest``
(where a field is at fault) and ``RetryInfo`` (where the call was refused for load).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from whence.errors import (
    ERRORS,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    UnavailableError,
    WhenceError,
)

DOMAIN: Final = "whence"
DETAILS_KEY: Final = "grpc-status-details-bin"
# gRPC drops an error whose metadata exceeds its limit (16 KiB in Python); together these bounds stay well below it.
# The plain message has the tightest bound, because gRPC writes each byte that is not ASCII as three.
MAX_PLAIN_MESSAGE_BYTES: Final = 1000
MAX_MESSAGE_BYTES: Final = 4000
MAX_DETAIL_BYTES: Final = 500
MAX_KEY_BYTES: Final = 64
MAX_DETAILS: Final = 8

_CODE_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}
_ERROR_BY_CODE: Final = {error.code: error for error in ERRORS}


class WireStatus(NamedTuple):
    """A status with the attributes of ``grpc.Status``, for ``ServicerContext.abort_with_status``."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def to_wire(error: WhenceError) -> WireStatus:
    """Return the status that carries ``error``, its reason and details included."""
    message = _shorten(error.message, MAX_MESSAGE_BYTES)
    pairs = list(error.details.items())[:MAX_DETAILS]
    info = error_details_pb2.ErrorInfo(
        reason=_shorten(error.reason, MAX_KEY_BYTES),
        domain=DOMAIN,
        metadata={_shorten(key, MAX_KEY_BYTES): _shorten(value, MAX_DETAIL_BYTES) for key, value in pairs},
    )
    status = status_pb2.Status(code=error.code.value[0], message=message, details=[_pack(info)])
    if isinstance(error, InvalidRequestError) and error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_shorten(error.field, MAX_DETAIL_BYTES), description=_shorten(message, MAX_DETAIL_BYTES)
        )
        status.details.append(_pack(error_details_pb2.BadRequest(field_violations=[violation])))
    if isinstance(error, OverloadedError):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(1, round(error.retry_after_s * 1000)))
        status.details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    plain = _shorten(message, MAX_PLAIN_MESSAGE_BYTES)
    return WireStatus(error.code, plain, ((DETAILS_KEY, status.SerializeToString()),))


def from_call(call: grpc.RpcError) -> WhenceError:
    """Return the typed error of a failed call (``grpc.RpcError`` of the sync or of the asyncio client).

    A status without our ``ErrorInfo`` (a broken connection, a proxy, gRPC's own limits) becomes the error of its
    code with reason ``GRPC_<CODE>``.
    """
    code, details = call.code(), call.details() or ""
    metadata: Any = call.trailing_metadata() or ()  # pairs, in a type of the sync or of the asyncio client
    for key, value in metadata:
        if key == DETAILS_KEY:
            error = _from_details(value)
            if error is not None:
                return error
    return _build(_ERROR_BY_CODE.get(code, _fallback(code)), details or code.name, f"GRPC_{code.name}", {})


def _from_details(data: bytes) -> WhenceError | None:
    status = status_pb2.Status.FromString(data)
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad_request, retry):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    if info.domain != DOMAIN:
        return None
    code = _CODE_BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    kind = _ERROR_BY_CODE.get(code, InternalError)
    error = _build(kind, status.message, info.reason, dict(info.metadata))
    if isinstance(error, InvalidRequestError) and bad_request.field_violations:
        error.field = bad_request.field_violations[0].field
    if isinstance(error, OverloadedError) and retry.HasField("retry_delay"):
        error.retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    return error


def _build(kind: type[WhenceError], message: str, reason: str, details: dict[str, str]) -> WhenceError:
    error = kind(message, reason=reason)
    error.details = details
    return error


def _fallback(code: grpc.StatusCode) -> type[WhenceError]:
    return UnavailableError if code is grpc.StatusCode.ABORTED else InternalError


def _pack(message: error_details_pb2.ErrorInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _shorten(text: str, limit_bytes: int) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit_bytes:
        return text
    return encoded[: limit_bytes - len("…".encode())].decode("utf-8", "ignore") + "…"
