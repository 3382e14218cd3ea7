"""The paths by which errors name the fields of a request.

A worker objects to fields of the message that the front end made; the caller knows only its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from whence.errors import InvalidRequestError
from whence.reasons import Reason


@contextmanager
def fields_of_caller(name: str, places: Sequence[str]) -> Iterator[None]:
    """Raise errors of the ``with`` with the caller's field names: the worker's ``name[n]`` is ``places[n]``."""
    try:
        yield
    except InvalidRequestError as error:
        field = rename(error.field, name, places)
        raise InvalidRequestError(error.message, reason=error.reason, field=field, **error.details) from error


def rename(field: str, name: str, places: Sequence[str]) -> str:
    """Return the path with its beginning ``name[n]``, if it has that, replaced by ``places[n]``."""
    match = re.match(rf"{name}\[(\d+)\]", field)
    if match is None or int(match[1]) >= len(places):
        return field
    return places[int(match[1])] + field[match.end() :]


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Return the paths of the elements of a repeated field."""
    return tuple(f"{name}[{number}]" for number in range(count))


def unknown_value(reason: Reason, field: str, value: int) -> InvalidRequestError:
    """Return the error of an enum's value that this server does not know."""
    return InvalidRequestError(
        f"{field} is {value}, which this server does not know; leave it out for the default, or update the server",
        reason=reason,
        field=field,
    )
