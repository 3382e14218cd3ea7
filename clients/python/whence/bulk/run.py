"""A run: queries are asked, each once, and a table of their hits is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Unpack

from whence._many import FailedQuery
from whence.bulk.answers import provenance, table_rows
from whence.bulk.entries import Entries, Entry
from whence.bulk.files import STANDARD_INPUT, count_rows, read_rows
from whence.bulk.interruptions import resumable, writing
from whence.bulk.journal import journal
from whence.bulk.options import DEFAULTS, RunOptions
from whence.bulk.pairs import with_answers
from whence.bulk.reports import BulkProgress, BulkReport, Refusal, Source
from whence.bulk.rows import QueryRow, query_rows
from whence.bulk.tables import OwnColumns, check_table, write_table
from whence.client import Client
from whence.errors import MismatchError, WhenceError
from whence.options import BatchOptions, complete
from whence.queries import Query
from whence.reasons import Reason
from whence.results import Attribution

# So many refusals are kept for the report; the table has all.
_SHOWN: Final = 20


def attribute_file(
    client: Client, queries: Path, out: Path, run: RunOptions = DEFAULTS, **options: Unpack[BatchOptions]
) -> BulkReport:
    """Rank for every query of a file (JSON Lines, CSV or Parquet; ``-``: JSON Lines from the standard input).

    The table at ``out`` (.parquet, .csv or .jsonl) has a row for each hit, and one for a query without hits or that
    was refused, with its ``error``. Until all are answered, the answers are in ``<out>.journal``: the same call goes on
    from there. Other arguments: :meth:`whence.Client.attribute_many`.

    Raises :class:`~whence.errors.InvalidRequestError` for files that cannot be read or written,
    :class:`~whence.errors.MismatchError` (``JOB_MISMATCH``) where the file or the options are not those of the run that
    was interrupted, and what the server raises.
    """
    check_table(out, overwrite=run.overwrite)
    source = Source(
        name="the standard input" if queries == STANDARD_INPUT else str(queries),
        rows=query_rows(read_rows(queries), strict=run.strict),
        total=count_rows(queries),
        settings={"queries": str(queries)},
    )
    return attribute_rows(client, source, out, run, **options)


def attribute_rows(
    client: Client,
    source: Source,
    out: Path,
    run: RunOptions = DEFAULTS,
    *,
    tally: Callable[[Sequence[Mapping[str, Any]]], None] = lambda _: None,
    **options: Unpack[BatchOptions],
) -> BulkReport:
    """Rank for every query of a source. ``tally`` is called with the table's rows of each query, in order, at the end.

    Everything else is as for :func:`attribute_file`.
    """
    check_table(out, overwrite=run.overwrite)
    began, path = time.monotonic(), out.with_name(f"{out.name}.journal")
    plain = _plain(complete(BatchOptions, options))
    settings = {**source.settings, "model": run.model, "strict": run.strict, "options": plain}
    with writing(path), journal(path, settings) as lines:
        kept = Entries(lines)
        with resumable(path, lambda: kept.answered, source.total, "queries"):
            resumed = _ask(client, source, kept, run, options)
        report = _finish(kept, out, settings, resumed, began, tally)
    path.unlink(missing_ok=True)
    return report


def _ask(client: Client, source: Source, kept: Entries, run: RunOptions, options: BatchOptions) -> int:
    """Ask what the journal lacks, into the journal. Return the number of rows that it had."""
    rows, resumed = iter(source.rows), kept.answered
    refused = _skip(rows, kept, source.name)

    def show() -> None:
        run.progress(BulkProgress(done=kept.answered, total=source.total, resumed=resumed, refused=refused))

    def ask(queries: Iterator[Query]) -> Iterator[Attribution | FailedQuery]:
        return client.attribute_many(
            queries, batch_size=run.batch_size, concurrency=run.concurrency, model=run.model, **options
        )

    show()
    for row, answer in with_answers(rows, ask):
        if run.strict and isinstance(answer, WhenceError):
            raise answer
        refused += isinstance(answer, WhenceError)
        kept.add(_entry(row, answer), provenance(answer) if isinstance(answer, Attribution) else None)
        show()
    return resumed


def _skip(rows: Iterator[QueryRow], kept: Entries, name: str) -> int:
    """Pass over the rows that the journal has. Return the number of them that were refused."""
    refused = 0
    for entry in kept.entries():
        row = next(rows, None)
        if row is None or (row.number, row.digest) != (entry.number, entry.digest):
            what = "has ended" if row is None else "has changed"
            raise MismatchError(
                f"{name} {what} at row {entry.number} since the run began that {kept.journal.path} is the journal of: "
                "give the same queries, or remove the journal to begin anew",
                reason=Reason.JOB_MISMATCH,
                journal=kept.journal.path,
            )
        refused += entry.refused
    return refused


def _entry(row: QueryRow, answer: Attribution | WhenceError) -> Entry:
    rows = list(table_rows(row, answer))
    return Entry(number=row.number, digest=row.digest, rows=rows, refused=isinstance(answer, WhenceError))


def _finish(
    kept: Entries,
    out: Path,
    settings: dict[str, Any],
    resumed: int,
    began: float,
    tally: Callable[[Sequence[Mapping[str, Any]]], None],
) -> BulkReport:
    own, hits, refusals, refused = OwnColumns(), 0, list[Refusal](), 0
    for entry in kept.entries():
        own.see(entry.rows)
        tally(entry.rows)
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
