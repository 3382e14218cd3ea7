"""What a request's headers become in the call: its metadata, its deadline and its id."""

from __future__ import annotations

import re
import uuid
from typing import Final

from starlette.datastructures import Headers

from whence._channel import Metadata
from whence.errors import InvalidRequestError, UnauthenticatedError
from whence.reasons import Reason

REQUEST_ID: Final = "x-request-id"
_PASSED_ON: Final = ("traceparent", "tracestate")
_SENDABLE_ID: Final = re.compile(r"[!-~]{1,128}")
_PRINTABLE: Final = re.compile(r"[ -~]{1,8192}")
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def request_id(headers: Headers, in_body: str) -> str:
    """Return the id of a request: that of its body, else that of its header, else a new one.

    Raises ``InvalidRequestError`` (``INVALID_REQUEST_ID``) for a header that cannot be one.
    """
    given = headers.get(REQUEST_ID, "")
    if given and not _SENDABLE_ID.fullmatch(given):
        raise InvalidRequestError(
            f"X-Request-Id has {len(given)} characters, or some that are not printable ASCII: send at most 128 such "
            "characters, or none to get a UUID",
            reason=Reason.INVALID_REQUEST_ID,
            field="request_id",
        )
    # The server refuses an id of the body that cannot be sent back.
    wanted = in_body if _SENDABLE_ID.fullmatch(in_body) else given
    return wanted or str(uuid.uuid4())


def trace(headers: Headers) -> Metadata:
    """Return the caller's trace, where it sends one that can be passed on."""
    given = ((name, headers.get(name, "")) for name in _PASSED_ON)
    return tuple((name, value) for name, value in given if _PRINTABLE.fullmatch(value))


def authorization(headers: Headers) -> str:
    """Return the caller's credentials, or an empty text. Raises ``UnauthenticatedError`` (``INVALID_CREDENTIALS``)."""
    given = headers.getlist("authorization")
    if not given:
        return ""
    if len(given) > 1 or not _PRINTABLE.fullmatch(given[0]):
        raise UnauthenticatedError(
            "the header Authorization cannot be passed on: send it once, in printable ASCII, as 'Bearer …'",
            reason=Reason.INVALID_CREDENTIALS,
        )
    return given[0]


def timeout_s(headers: Headers, default_s: float) -> float:
    """Return the deadline of a call in seconds. Raises ``InvalidRequestError`` (``INVALID_TIMEOUT``)."""
    given = headers.get("grpc-timeout")
    if given is None:
        return default_s
    match = _TIMEOUT.fullmatch(given)
    if match is None or not int(match[1]):
        raise InvalidRequestError(
            f"Grpc-Timeout is {given[:40]!a}: expected a number of at most 8 digits, and a unit of H, M, S, m (milli), "
            "u and n, such as 30S",
            reason=Reason.INVALID_TIMEOUT,
            field="Grpc-Timeout",
        )
    return int(match[1]) * _UNITS_S[match[2]]
