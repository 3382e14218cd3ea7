"""``whence scores``: the matrix of the influences of a file's sequences on a file's queries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.bulk import RunOptions
from whence.bulk.matrix import score_files
from whence.cli import console, documents, options, progress
from whence.cli.connection import Connection, connecting
from whence.cli.render.matrix import matrix_report


@connecting
def scores(
    queries: Annotated[
        Path,
        typer.Option(
            help="The queries: .jsonl, .csv or .parquet with prompt and completion, messages, or token_ids and "
            "completion_start."
        ),
    ],
    sequences: Annotated[
        Path,
        typer.Option(
            help="The sequences: .jsonl, .csv or .parquet with sequence_id or text, such as a table that "
            "`whence attribute --out` wrote. Each is scored once."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Write the matrix here: .csv, or .parquet and .jsonl with a row for each pair. An interrupted run "
            "goes on where it stopped."
        ),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first query or sequence that is refused.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another table at --out.")] = False,
    damping_factor: options.DampingFactor = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Queries of a block.", show_default="as many as the model takes")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Blocks that are asked at a time.")] = 2,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Score every query of a file against every training sequence, or text, of another.

    whence scores --queries outputs.jsonl --sequences hits.parquet --out scores.csv
    """
    with connection.client() as client, progress.bulk_progress("scores") as show:
        run = RunOptions(
            strict=strict,
            overwrite=overwrite,
            batch_size=batch_size,
            concurrency=concurrency,
            model=model,
            progress=show,
        )
        report = score_files(client, queries, sequences, out, run, damping_factor=damping_factor)
    if as_json:
        console.print_json(documents.matrix(report))
    else:
        console.stdout().print(matrix_report(report))
