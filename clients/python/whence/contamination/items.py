"""The items of a benchmark: rows of queries, of which some are known to be clean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from whence.bulk.files import STANDARD_INPUT, count_rows, invalid_row, read_rows
from whence.bulk.reports import Source
from whence.bulk.rows import QueryRow, query_rows
from whence.errors import InvalidRequestError

# How a row says that it is clean, whatever its file's format has for that.
_TRUE: Final = (True, 1, "true", "True", "1", "yes")
_FALSE: Final = (False, 0, None, "", "false", "False", "0", "no")
# The column that a row of items has in place of its own; no other can be called that.
CLEAN: Final = "\0clean"


def open_items(queries: Path, clean: Path | None, clean_column: str, *, strict: bool) -> Source:
    """Return the items of ``queries``, then those of ``clean``, which are all known to be clean.

    Of ``queries`` those are whose ``clean_column`` is true. Each row has :data:`CLEAN` among its columns.
    """
    totals = [count_rows(queries), *([count_rows(clean)] if clean is not None else [])]
    known = [total for total in totals if total is not None]
    names = [str(path) for path in (queries, clean) if path is not None and path != STANDARD_INPUT]
    return Source(
        name=" with ".join(names) or "the standard input",
        rows=_rows(queries, clean, clean_column, strict),
        total=sum(known) if len(known) == len(totals) else None,
        settings={
            "queries": str(queries),
            "clean": None if clean is None else str(clean),
            "clean_column": clean_column,
        },
    )


def _rows(queries: Path, clean: Path | None, clean_column: str, strict: bool) -> Iterator[QueryRow]:
    for row in query_rows(read_rows(queries), strict=strict):
        yield _marked(row, clean_column)
    for row in query_rows(read_rows(clean), strict=strict) if clean is not None else ():
        others = {name: value for name, value in row.columns.items() if name != clean_column}
        yield replace(row, columns={**others, CLEAN: True})


def _marked(row: QueryRow, clean_column: str) -> QueryRow:
    """Return the row with :data:`CLEAN` in place of its own column; with an error where that says neither."""
    value = row.columns.get(clean_column)
    others = {name: value for name, value in row.columns.items() if name != clean_column}
    error = row.error
    if value not in (*_TRUE, *_FALSE):
        error = error or _unclear(row.number, clean_column, value)
    return replace(
        row,
        columns={**others, CLEAN: value in _TRUE},
        query=row.query if error is None else None,
        error=error,
    )


def _unclear(number: int, column: str, value: object) -> InvalidRequestError:
    return invalid_row(number, f"has {column} {value!r}; expected true or false", field="clean")
