"""Rows with their answers, those among them that are no query included."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

from whence._many import FailedQuery
from whence.bulk.rows import QueryRow
from whence.errors import WhenceError
from whence.queries import Query

A = TypeVar("A")


def with_answers(
    rows: Iterator[QueryRow], ask: Callable[[Iterator[Query]], Iterator[A | FailedQuery]]
) -> Iterator[tuple[QueryRow, A | WhenceError]]:
    """Yield each row with its answer, in order. Rows are read as they are needed."""
    waiting: deque[QueryRow] = deque()

    def queries() -> Iterator[Query]:
        for row in rows:
            waiting.append(row)
            if row.query is not None:
                yield row.query

    def without_query() -> Iterator[tuple[QueryRow, WhenceError]]:
        while waiting and waiting[0].error is not None:
            row = waiting.popleft()
            assert row.error is not None
            yield row, row.error

    asked: Any = ask(queries())  # a generator, which is to be closed
    with closing(asked) as answers:
        for answer in answers:
            yield from without_query()
            row = waiting.popleft()
            yield row, answer.error if isinstance(answer, FailedQuery) else answer
    yield from without_query()
