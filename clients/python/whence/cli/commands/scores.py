"""``whence scores``: the matrix of the influences of a file's sequences on a file's queries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from whence.bulk.matrix import score_files
from whence.cli import console, options
from whence.cli.connection import Connection, connecting
from whence.cli.render import answer


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
        typer.Option(help="Write the matrix here: .csv, or .parquet and .jsonl with a row for each pair."),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another table at --out.")] = False,
    damping_factor: options.DampingFactor = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Blocks that are asked at a time.")] = 2,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Score every query of a file against every training sequence, or text, of another.

    whence scores --queries outputs.jsonl --sequences hits.parquet --out scores.csv
    """
    with connection.client() as client, console.stderr().status("scoring"):
        table = score_files(
            client,
            queries,
            sequences,
            out,
            overwrite=overwrite,
            damping_factor=damping_factor,
            concurrency=concurrency,
            model=model,
        )
    size = {"queries": len(table.query_ids), "sequences": len(table.sequences), "table": str(out)}
    if as_json:
        console.print_json(size)
        return
    console.stdout().print(Text(f"{size['queries']:,} queries by {size['sequences']:,} sequences in {out}"))
    for line in answer.about(table):
        console.stdout().print(line)
