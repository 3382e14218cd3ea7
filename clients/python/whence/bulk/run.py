"""A run: the queries of a file are asked, each once, and a table of their hits is written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Unpack

from whence._many import FailedQuery
from whence.bulk.answers import provenance, table_rows
from whence.bulk.files import STANDARD_INPUT, count_rows, read_rows
from whence.bulk.journal import Entry, Journal, journal
from whence.bulk.rows import QueryRow, query_rows
from whence.bulk.tables import OwnColumns, check_format, write_table
from whence.client import Client
from whence.errors import InvalidRequestError, MismatchError, StorageError, WhenceError
from whence.options import BatchOptions, complete
from whence.queries import Query
from whence.reasons import Reason
from whence.results import Attribution

# So many refusals are kept for the report; the table has all.
_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A row that was refused."""

    row: int
    query_id: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class BulkProgress:
    """The progress of a run: rows ``done`` of ``total`` (None: unknown), those ``resumed`` among them."""

    done: int
    total: int | None
    resumed: int
    refused: int


@dataclass(frozen=True, kw_only=True)
class BulkReport:
    """What a run did. ``refusals`` are the first twenty of ``refused``."""

    table: Path
    queries: int
    hits: int
    refused: int
    resumed: int
    seconds: float
    provenances: int
    refusals: tuple[Refusal, ...] = field(default=())


def attribute_file(
    client: Client,
    queries: Path,
    out: Path,
    *,
    strict: bool = False,
    overwrite: bool = False,
    batch_size: int | None = None,
    concurrency: int = 2,
    model: str = "",
    progress: Callable[[BulkProgress], None] = lambda _: None,
    **options: Unpack[BatchOptions],
) -> BulkReport:
    """Rank for every query of a file (JSON Lines, CSV or Parquet; ``-``: JSON Lines from the standard input).

    The table at ``out`` (.parquet, .csv or .jsonl) has a row for each hit, and one for a query without hits or that
    was refused, with its ``error``. Until all are answered, the answers are in ``<out>.journal``: the same call goes on
    from there. ``strict`` raises the first refusal instead. Other arguments: :meth:`whence.Client.attribute_many`.

    Raises :class:`~whence.errors.InvalidRequestError` for files that cannot be read or written,
    :class:`~whence.errors.MismatchError` (``JOB_MISMATCH``) where the file or the options are not those of the run that
    was interrupted, and what the server raises.
    """
    check_format(out)
    values = complete(BatchOptions, options)
    if out.exists() and not overwrite:
        raise InvalidRequestError(
            f"{out} exists: choose another file, or overwrite it", reason=Reason.TABLE_EXISTS, field="out"
        )
    began, path = time.monotonic(), out.with_name(f"{out.name}.journal")
    settings = {"queries": str(queries), "model": model, "strict": strict, "options": _plain(values)}
    total = count_rows(queries)
    try:
        with journal(path, settings) as kept:
            resumed, refused = kept.answered, 0
            rows = query_rows(read_rows(queries), strict=strict)
            refused = _skip(rows, kept, queries)
            progress(BulkProgress(done=resumed, total=total, resumed=resumed, refused=refused))
            asked = client.attribute_many
            for row, answer in _answers(
                rows, lambda more: asked(more, batch_size=batch_size, concurrency=concurrency, model=model, **options)
            ):
                if strict and isinstance(answer, WhenceError):
                    raise answer
                refused += isinstance(answer, WhenceError)
                kept.add(_entry(row, answer), provenance(answer) if isinstance(answer, Attribution) else None)
                progress(BulkProgress(done=kept.answered, total=total, resumed=resumed, refused=refused))
            report = _finish(kept, out, settings, resumed, began)
    except OSError as error:
        raise _storage_error(out, error) from error
    path.unlink()
    return report


def _answers(
    rows: Iterator[QueryRow], ask: Callable[[Iterator[Query]], Any]
) -> Iterator[tuple[QueryRow, Attribution | WhenceError]]:
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

    with closing(ask(queries())) as answers:
        for answer in answers:
            yield from without_query()
            row = waiting.popleft()
            yield row, answer.error if isinstance(answer, FailedQuery) else answer
    yield from without_query()


def _skip(rows: Iterator[QueryRow], kept: Journal, queries: Path) -> int:
    """Pass over the rows that the journal has. Return the number of them that were refused."""
    refused = 0
    for entry in kept.entries():
        row = next(rows, None)
        if row is None or (row.number, row.digest) != (entry.number, entry.digest):
            what = "has ended" if row is None else "has changed"
            source = "the standard input" if queries == STANDARD_INPUT else str(queries)
            raise MismatchError(
                f"{source} {what} at row {entry.number} since the run began that {kept.path} is the journal of: give "
                "the same queries, or remove the journal to begin anew",
                reason=Reason.JOB_MISMATCH,
                journal=kept.path,
            )
        refused += entry.refused
    return refused


def _entry(row: QueryRow, answer: Attribution | WhenceError) -> Entry:
    rows = list(table_rows(row, answer))
    return Entry(number=row.number, digest=row.digest, rows=rows, refused=isinstance(answer, WhenceError))


def _finish(kept: Journal, out: Path, settings: dict[str, Any], resumed: int, began: float) -> BulkReport:
    own, hits, refusals, refused = OwnColumns(), 0, list[Refusal](), 0
    for entry in kept.entries():
        own.see(entry.rows)
        hits += sum(row["rank"] is not None for row in entry.rows)
        refused += entry.refused
        if entry.refused and len(refusals) < _SHOWN:
            reason, _, message = entry.rows[0]["error"].partition(": ")
            refusals.append(
                Refusal(row=entry.number, query_id=entry.rows[0]["query_id"], reason=reason, message=message)
            )
    provenances = kept.provenances()
    about = {"provenance": provenances, "settings": settings}
    write_table(out, lambda: (row for entry in kept.entries() for row in entry.rows), own, about)
    return BulkReport(
        table=out,
        queries=kept.answered,
        hits=hits,
        refused=refused,
        resumed=resumed,
        seconds=time.monotonic() - began,
        provenances=len(provenances),
        refusals=tuple(refusals),
    )


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str | int | float | None) else repr(value) for name, value in options.items()
    }


def _storage_error(out: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{error.filename or out} cannot be written: {error.strerror or error}; the journal beside it keeps what was "
        "answered, and the same command goes on from there",
        reason=Reason.WRITE_FAILED,
        file=error.filename or out,
    )
