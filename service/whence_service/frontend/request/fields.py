"""Where in the caller's request a worker's objection belongs: the worker saw a request that we made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from whence.errors import InvalidRequestError


@contextmanager
def fields_of_caller(name: str, places: Sequence[str]) -> Iterator[None]:
    """Let errors raised in the ``with`` name the caller's fields: the worker's ``name[n]`` is ``places[n]``."""
    try:
        yield
    except InvalidRequestError as error:
        error.field = rename(error.field, name, places)
        raise


@contextmanager
def top_level_fields() -> Iterator[None]:
    """Let errors raised in the ``with`` name fields of a request that has the options in itself, not in ``options``."""
    try:
        yield
    except InvalidRequestError as error:
        error.field = error.field.removeprefix("options.")
        raise


def rename(field: str, name: str, places: Sequence[str]) -> str:
    """Return the path with its beginning ``name[n]``, if it has that, replaced by ``places[n]``."""
    found = re.match(rf"{name}\[(\d+)\]", field)
    if found is None or int(found[1]) >= len(places):
        return field
    return places[int(found[1])] + field[found.end() :]
