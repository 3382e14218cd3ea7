"""``whence contamination``: is a benchmark in the training data, and does it matter?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, cast

import typer

from whence.bulk import RunOptions
from whence.cli import console, documents, options, progress
from whence.cli.connection import Connection, connecting
from whence.cli.options import SearchChoice, query_option
from whence.cli.render.contamination import contamination_report
from whence.contamination import contamination_file
from whence.options import AttributionOptions, BatchOptions, Search

_CLEAN: Final = "Items known to be clean"
_TABLE: Final = "Table"


@connecting
def contamination(
    queries: Annotated[
        Path,
        typer.Option(
            help="The items: .jsonl, .csv or .parquet with prompt and completion, which is the gold answer; messages; "
            "or token_ids and completion_start. Other columns come along."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Write the items, with their evidence and scores, to this table, .parquet, .csv or .jsonl. An "
            "interrupted run goes on where it stopped.",
            rich_help_panel=_TABLE,
        ),
    ],
    clean: Annotated[
        Path | None,
        typer.Option(
            help="More items of the same kind that cannot be in the training data, such as those written after it was "
            "collected. Scores say how far an item stands out among them; without any, there are none.",
            rich_help_panel=_CLEAN,
        ),
    ] = None,
    clean_column: Annotated[
        str, typer.Option(help="The column of --queries that is true for a clean item.", rich_help_panel=_CLEAN)
    ] = "clean",
    level: Annotated[
        float,
        typer.Option(help="The share of clean items that may be flagged by chance.", rich_help_panel=_CLEAN),
    ] = 0.05,
    ngram: Annotated[
        int | None,
        typer.Option(min=2, max=64, help="Tokens of an n-gram: 8 or 13 are usual.", show_default="8"),
    ] = None,
    damping_factor: options.DampingFactor = None,
    search: Annotated[SearchChoice, query_option(AttributionOptions, "search")] = SearchChoice.auto,
    candidates: Annotated[int | None, query_option(AttributionOptions, "candidates")] = None,
    query_rank: Annotated[int | None, query_option(BatchOptions, "query_rank")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first item that is refused.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another table at --out.", rich_help_panel=_TABLE)
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Items of a batch.", show_default="as many as the model takes")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Batches that are asked at a time.")] = 2,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Look for a benchmark in the training data, and for what it does there.

    For each item: the training text that shares the most n-grams with it, of all.

    The influence of that text, and of the top hit, on the model's gold answer.

    How far both stand out among items that are known to be clean.

    whence contamination --queries eval.jsonl --clean written-later.jsonl --out items.parquet
    """
    with connection.client() as client, progress.bulk_progress() as show:
        run = RunOptions(
            strict=strict,
            overwrite=overwrite,
            batch_size=batch_size,
            concurrency=concurrency,
            model=model,
            progress=show,
        )
        report = contamination_file(
            client,
            queries,
            out,
            run,
            clean=clean,
            clean_column=clean_column,
            ngram=ngram,
            level=level,
            damping_factor=damping_factor,
            search=cast("Search", search.name),
            candidates=candidates,
            query_rank=query_rank,
        )
    if as_json:
        console.print_json(documents.contamination(report))
    else:
        console.stdout().print(contamination_report(report))
