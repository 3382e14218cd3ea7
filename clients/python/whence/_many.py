"""Many queries: cut into batches, and what becomes of those that are refused."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from whence._channel import MAX_MESSAGE_BYTES
from whence.errors import InternalError, InvalidRequestError, WhenceError
from whence.queries import Query
from whence.reasons import Reason
from whence.results import AnswerWarning, Attribution

# Queries of a batch are together no larger, unless one is by itself.
_BATCH_BYTES: Final = MAX_MESSAGE_BYTES // 2
_PLACE: Final = re.compile(r"queries\[(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class FailedQuery:
    """A query that was refused, and why. The others of its batch are answered."""

    query: Query
    error: WhenceError


def check_numbers(batch_size: int | None, concurrency: int) -> None:
    """Raise ``InvalidRequestError`` for a batch of no query, or for no batch at a time."""
    for name, value in (("batch_size", batch_size), ("concurrency", concurrency)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise InvalidRequestError(
                f"{name} is {value!r}: it must be a whole number of at least 1",
                reason=Reason.INVALID_FIELD,
                field=name,
            )


def batches(queries: Iterable[Query], size: int) -> Generator[list[Query], None, None]:
    """Yield the queries in batches of up to ``size``, none larger than a message may be."""
    batch: list[Query] = []
    size_bytes = 0
    for query in queries:
        more = _size_bytes(query)
        if batch and (len(batch) == size or size_bytes + more > _BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(query)
        size_bytes += more
    if batch:
        yield batch


class Batch:
    """The queries of a batch that are still to be asked, and what was answered of the others."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = queries
        self._answers: dict[int, Attribution | FailedQuery] = {}
        self._singly = False
        self._unnamed: list[WhenceError] = []
        for place, query in enumerate(queries):
            try:
                query.to_proto()
            except InvalidRequestError as error:
                self._fail(place, error)

    @property
    def next(self) -> list[Query]:
        """The queries to ask next; none where all are answered."""
        return [self._queries[place] for place in self._places]

    @property
    def answers(self) -> list[Attribution | FailedQuery]:
        """The answers, in the order of the queries."""
        return [self._answers[place] for place in range(len(self._queries))]

    def answered(self, attributions: Sequence[Attribution]) -> None:
        """Take the rankings of the queries asked."""
        for number, (place, attribution) in enumerate(zip(self._places, attributions, strict=True)):
            own = tuple(_own_warnings(attribution.warnings, number))
            self._answers[place] = replace(attribution, warnings=own)

    def refused(self, error: WhenceError) -> None:
        """Take a refusal. The query that it names has failed; if it names none, queries are asked one by one.

        Raises the error where it is not a query's: where each of them fails for the same reason.
        """
        places = self._places
        named = _PLACE.match(error.field) if isinstance(error, InvalidRequestError) else None
        if named is not None and int(named[1]) < len(places):
            self._fail(places[int(named[1])], error)
        elif len(places) > 1:
            self._singly = True
        else:
            self._unnamed.append(error)
            self._fail(places[0], error)
        if len(self._unnamed) == len(self._queries) and len({error.reason for error in self._unnamed}) == 1:
            raise error

    @property
    def _places(self) -> list[int]:
        left = [place for place in range(len(self._queries)) if place not in self._answers]
        return left[:1] if self._singly else left

    def _fail(self, place: int, error: WhenceError) -> None:
        self._answers[place] = FailedQuery(query=self._queries[place], error=error)


# What a query of its own can cause; whoever asks about others succeeds.
REFUSALS: Final = (InvalidRequestError, InternalError)


def _size_bytes(query: Query) -> int:
    try:
        return query.to_proto().ByteSize()
    except InvalidRequestError:
        return 0  # it is not sent


def _own_warnings(warnings: Sequence[AnswerWarning], number: int) -> Iterable[AnswerWarning]:
    """Yield the warnings of a batch but for those that name other queries."""
    for warning in warnings:
        named = _PLACE.search(warning.message)
        if named is None:
            yield warning
        elif int(named[1]) == number:
            yield replace(warning, message=warning.message.replace(named[0], "the query"))
