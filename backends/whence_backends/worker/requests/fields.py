"""The path of a field in its request, for errors of parts that do not know where their input was."""

from __future__ import annotations

from whence.errors import InvalidRequestError


def located(error: InvalidRequestError, field: str) -> InvalidRequestError:
    """Return the same error with the path ``field``."""
    return InvalidRequestError(error.message, reason=error.reason, field=field, **error.details)
