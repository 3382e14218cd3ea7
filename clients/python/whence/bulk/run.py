"""A run: queries are asked, each once, and a table of their hits is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from whence._many import FailedQuery
from whence.bulk.answers import provenance, table_rows
from whence.bulk.entries import Entries
from whence.bulk.files import STANDARD_INPUT, count_rows, read_rows
from whence.bulk.journaled import Asking, ask_all, refusals_of, run_journal, settings_of
from whence.bulk.options import DEFAULTS, RunOptions
from whence.bulk.reports import BulkReport, Source
from whence.bulk.rows import query_rows
from whence.bulk.tables import OwnColumns, check_table, write_table
from whence.client import Client
from whence.options import BatchOptions
from whence.queries import Query
from whence.results import Attribution


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
    began, settings = time.monotonic(), settings_of(source, run, options)

    def ask(queries: Iterator[Query]) -> Iterator[Attribution | FailedQuery]:
        return client.attribute_many(
            queries, batch_size=run.batch_size, concurrency=run.concurrency, model=run.model, **options
        )

    asking = Asking[Attribution](ask=ask, rows=lambda row, answer: list(table_rows(row, answer)), provenance=provenance)
    with run_journal(out, source, settings, "queries") as kept:
        resumed = ask_all(source, kept, run, asking)
        return _finish(kept, out, settings, resumed, began, tally)


def _finish(
    kept: Entries,
    out: Path,
    settings: dict[str, Any],
    resumed: int,
    began: float,
    tally: Callable[[Sequence[Mapping[str, Any]]], None],
) -> BulkReport:
    own, hits = OwnColumns(), 0
    for entry in kept.entries():
        own.see(entry.rows)
        tally(entry.rows)
        hits += sum(row["rank"] is not None for row in entry.rows)
    refused, refusals = refusals_of(kept)
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
        refusals=refusals,
    )
