"""Which query or sequence of a block an error is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, cast

from whence.bulk.matrix.sides import Field, Side
from whence.errors import InvalidRequestError, NotFoundError, WhenceError
from whence.reasons import Reason

_PLACE: Final = re.compile(r"(queries|sequences)\[(\d+)\]")


class Places:
    """The places on the sides of the queries and sequences that a request has."""

    def __init__(self, queries: Side[Any], asked: Sequence[int], sequences: Side[Any], given: Sequence[int]) -> None:
        self._sides: dict[str, tuple[Side[Any], Sequence[int]]] = {
            "queries": (queries, asked),
            "sequences": (sequences, given),
        }

    def named(self, error: WhenceError) -> tuple[Field, int] | None:
        """Return the side and the place of what an error is about; None where it is about no single one."""
        if isinstance(error, NotFoundError) and error.reason == Reason.SEQUENCE_NOT_FOUND:
            side, places = self._sides["sequences"]
            wanted = error.details.get("sequence_id")
            return next((("sequences", place) for place in places if side.items[place].name == wanted), None)
        match = _PLACE.match(error.field) if isinstance(error, InvalidRequestError) else None
        if match is None or int(match[2]) >= len(self._sides[match[1]][1]):
            return None
        return cast("Field", match[1]), self._sides[match[1]][1][int(match[2])]

    def in_files(self, text: str) -> str:
        """Return a text with the rows of files in place of the numbers of a request."""
        return _PLACE.sub(self._row, text)

    def _row(self, match: re.Match[str]) -> str:
        side, places = self._sides[match[1]]
        number = int(match[2])
        return f"row {side.items[places[number]].row} of {side.file}" if number < len(places) else match[0]
