"""The id that names one call in answers, logs and the calls it causes.

It is the request's field ``request_id``, else the metadata ``x-request-id`` (which the front end sends to workers),
else a new UUID. The interceptor chooses it; all other code reads :func:`current_request_id`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason

METADATA_KEY: Final = "x-request-id"
# A metadata value must be printable ASCII, and all metadata of a call may take 8 KiB.
_ALLOWED: Final = re.compile(r"[\x21-\x7e]{1,128}")

# Set by the interceptor in the task of each call; tasks inherit it, so that calls are independent.
_current: ContextVar[str] = ContextVar("whence_request_id", default="")


def current_request_id() -> str:
    """Return the id of the call being served, or an empty string outside of one."""
    return _current.get()


def enter(request_id: str) -> None:
    """Set ``request_id`` as the current one for the rest of this task."""
    _current.set(request_id)


def requested_id(request: object, metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the id that the caller requests, or an empty string."""
    field = getattr(request, "request_id", "")
    if field:
        return str(field)
    return next((value for key, value in metadata if key == METADATA_KEY and isinstance(value, str)), "")


def choose(requested: str) -> str:
    """Return ``requested`` if it is valid, otherwise a new id."""
    return requested if _ALLOWED.fullmatch(requested) else str(uuid.uuid4())


def check(requested: str) -> None:
    """Raise :class:`~whence.errors.InvalidRequestError` for an id that cannot be sent back unchanged."""
    if requested and not _ALLOWED.fullmatch(requested):
        raise InvalidRequestError(
            f"request_id has {len(requested)} characters, or some that are not printable ASCII; "
            "send at most 128 such characters, or none to get a UUID",
            reason=Reason.INVALID_REQUEST_ID,
            field="request_id",
        )
