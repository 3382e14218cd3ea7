"""The body of a request: JSON alone, bounded in size and in time, read piece by piece."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Receive

from whence.errors import CancelledByCallerError, DeadlineError, InvalidRequestError
from whence.explore.api.statuses import JSON, HttpRefusal
from whence.reasons import Reason

_CLOSE: Final = {"Connection": "close"}  # what is left of the body must not be read as another request


async def read(receive: Receive, headers: Headers, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the body.

    Raises :class:`HttpRefusal`: ``UNSUPPORTED_CONTENT_TYPE``, ``TOO_LARGE_MESSAGE``, or ``DEADLINE_EXCEEDED`` where it
    is slower than ``timeout_s``.
    """
    _check_kind(headers)
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > max_bytes):
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(receive, max_bytes)
    except TimeoutError:
        slow = DeadlineError(
            f"the body had not arrived after {timeout_s:g} s: send it faster, or less of it",
            reason=Reason.DEADLINE_EXCEEDED,
        )
        raise HttpRefusal(408, slow, _CLOSE) from None


async def _read(receive: Receive, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CancelledByCallerError("the caller went away", reason=Reason.CANCELLED)
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def _check_kind(headers: Headers) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise _unsupported(f"Content-Type is {kind[:100]!a}: send JSON, as application/json")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise _unsupported(f"Content-Encoding is {encoding[:100]!a}: send the body uncompressed")


def _unsupported(problem: str) -> HttpRefusal:
    return HttpRefusal(415, InvalidRequestError(problem, reason=Reason.UNSUPPORTED_CONTENT_TYPE), _CLOSE)


def _too_large(max_bytes: int) -> HttpRefusal:
    error = InvalidRequestError(
        f"the body has more than the {max_bytes:,} bytes that are taken: ask about fewer queries or sequences at once",
        reason=Reason.TOO_LARGE_MESSAGE,
        max_bytes=max_bytes,
    )
    return HttpRefusal(413, error, _CLOSE)
