"""``whence outliers``: the training sequences that influence themselves most."""

from __future__ import annotations

from typing import Annotated

import typer

from whence.cli import console, documents, inputs, options
from whence.cli.connection import Connection, connecting
from whence.cli.render.attribution import self_influences


@connecting
def outliers(
    top_k: Annotated[
        int | None, typer.Option("--top-k", "-k", help="How many sequences: 10, or all that are named.", min=1)
    ] = None,
    sequence_id: Annotated[
        list[str] | None, typer.Option("--id", help="Only this sequence of the corpus, computed anew. May be repeated.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Only this text, as if it were a training sequence. May be repeated.")
    ] = None,
    example: options.Examples = None,
    damping_factor: options.DampingFactor = None,
    source: options.Sources = None,
    where: options.Where = None,
    document: options.Document = None,
    full_text: options.FullText = False,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """List the training sequences with the largest self-influence: outliers, and memorized sequences.

    The server's index has the self-influence of every sequence of the corpus. For named sequences it is
    computed, and no index is needed.

    whence outliers --top-k 20 --source web

    whence outliers --text "Call me Ishmael."
    """
    only = inputs.only(source, where, document)
    with connection.client() as client:
        result = client.self_influence(
            top_k=top_k,
            only=only,
            sequence_ids=sequence_id or (),
            texts=text or (),
            examples=[inputs.example(path) for path in example or ()],
            damping_factor=damping_factor,
            model=model,
        )
    if as_json:
        console.print_json(documents.answer(result, only=only, damping_factor=damping_factor))
        return
    out = console.stdout()
    out.print(self_influences(result, plain=out.color_system is None, full_text=full_text))
