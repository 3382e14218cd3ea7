"""``whence attribute``: the training sequences that an output came from."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from whence.bulk import RunOptions, attribute_file
from whence.cli import console, documents, inputs, options, progress
from whence.cli.connection import Connection, connecting
from whence.cli.options import SearchChoice, query_option
from whence.cli.render.attribution import attribution
from whence.cli.render.bulk import bulk_report
from whence.options import AttributionOptions, BatchOptions, Direction, Search
from whence.queries import Query

_MANY: Final = "Many queries"


class DirectionChoice(StrEnum):
    """The values of ``--direction``."""

    positive = "positive"
    negative = "negative"
    both = "both"


@connecting
def attribute(
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    prompt_file: options.PromptFile = None,
    chat: options.Chat = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse the query, instead of a warning, where the chat template drops a part of the output. With "
            "--queries, stop at the first query that is refused.",
        ),
    ] = False,
    top_k: Annotated[int, query_option(AttributionOptions, "top_k", "--top-k", "-k")] = 10,
    direction: Annotated[DirectionChoice, query_option(AttributionOptions, "direction")] = DirectionChoice.positive,
    damping_factor: options.DampingFactor = None,
    search: Annotated[SearchChoice, query_option(AttributionOptions, "search")] = SearchChoice.auto,
    candidates: Annotated[int | None, query_option(AttributionOptions, "candidates")] = None,
    stop_at_recall: Annotated[float | None, query_option(AttributionOptions, "stop_at_recall")] = None,
    source: options.Sources = None,
    where: options.Where = None,
    document: options.Document = None,
    layer: options.Layers = None,
    partial: Annotated[bool, query_option(AttributionOptions, "return_partial_success", "--partial")] = False,
    significant: Annotated[bool, query_option(AttributionOptions, "significant_only", "--significant")] = False,
    noise_sample: Annotated[int | None, query_option(AttributionOptions, "noise_sample")] = None,
    layers: Annotated[bool, query_option(AttributionOptions, "include_layers", "--layers/--no-layers")] = True,
    tokens: Annotated[
        bool | None,
        query_option(
            AttributionOptions, "include_tokens", "--tokens/--no-tokens", show_default="for one query, not for many"
        ),
    ] = None,
    full_text: options.FullText = False,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Attribute every query of a file: .jsonl, .csv or .parquet with prompt and completion, messages, or "
            "token_ids and completion_start; - is JSON Lines from the standard input. Other columns come along.",
            rich_help_panel=_MANY,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the hits to this table, .parquet, .csv or .jsonl. An interrupted run goes on where it stopped.",
            rich_help_panel=_MANY,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another table at --out.", rich_help_panel=_MANY)
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Queries of a batch.", show_default="as many as the model takes", rich_help_panel=_MANY
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Batches that are asked at a time.", rich_help_panel=_MANY)
    ] = 2,
    query_rank: Annotated[int | None, query_option(BatchOptions, "query_rank", panel=_MANY)] = None,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Find the training sequences that an output of the model came from.

    whence attribute --prompt "The capital of Durrow is" --completion " Brelary"

    whence attribute --queries outputs.jsonl --out hits.parquet
    """
    asked: AttributionOptions = {
        "top_k": top_k,
        "direction": cast("Direction", direction.name),
        "damping_factor": damping_factor,
        "include_layers": layers,
        "include_tokens": queries is None if tokens is None else tokens,
        "search": cast("Search", search.name),
        "candidates": candidates,
        "stop_at_recall": stop_at_recall,
        "only": inputs.only(source, where, document),
        "layers": layer or (),
        "return_partial_success": partial,
        "significant_only": significant,
        "noise_sample": noise_sample,
    }
    if queries is None and out is None:
        query = inputs.query(prompt, prompt_file, completion, chat, strict=strict)
        _attribute_one(connection, query, asked, model=model, full_text=full_text, as_json=as_json)
        return
    if queries is None or out is None:
        raise typer.BadParameter("--queries and --out go together: the queries of a file, and the table of hits")
    if (prompt, prompt_file, completion, chat) != (None, None, None, None):
        raise typer.BadParameter("--queries has all queries: leave out --prompt, --completion and --chat")
    with connection.client() as client, progress.bulk_progress() as show:
        run = RunOptions(
            strict=strict,
            overwrite=overwrite,
            batch_size=batch_size,
            concurrency=concurrency,
            model=model,
            progress=show,
        )
        report = attribute_file(client, queries, out, run, query_rank=query_rank, **asked)
    if as_json:
        console.print_json(documents.bulk(report))
    else:
        console.stdout().print(bulk_report(report))


def _attribute_one(
    connection: Connection, query: Query, asked: AttributionOptions, *, model: str, full_text: bool, as_json: bool
) -> None:
    with connection.client() as client:
        events = client.attribute_stream(query, **asked, model=model)
        with contextlib.closing(events):
            result = progress.follow(events, console.stderr())
    if as_json:
        console.print_json(documents.answer(result, query, **asked))
        return
    out = console.stdout()
    out.print(attribution(result, plain=out.color_system is None, full_text=full_text))
