"""``whence score``: the influence of given training sequences on an output."""

from __future__ import annotations

from typing import Annotated

import typer

from whence.cli import console, documents, inputs, options
from whence.cli.connection import Connection, connecting
from whence.cli.render.scores import scores


@connecting
def score(
    sequence_id: Annotated[
        list[str] | None, typer.Option("--sequence-id", help="A sequence of the corpus. May be repeated.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="A text, scored as if it were a training sequence. May be repeated."),
    ] = None,
    example: options.Examples = None,
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    prompt_file: options.PromptFile = None,
    chat: options.Chat = None,
    strict: options.Strict = False,
    damping_factor: options.DampingFactor = None,
    layers: Annotated[bool, typer.Option(help="Split each influence over the model's layers.")] = True,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Score given training sequences, or any text, by their influence on an output.

    whence score --prompt "The capital of Durrow is" --completion " Brelary" --text "Brelary is a town."
    """
    query = inputs.query(prompt, prompt_file, completion, chat, strict=strict)
    if not sequence_id and not text and not example:
        raise typer.BadParameter("give what to score with --sequence-id, --text or --example")
    with connection.client() as client:
        table = client.score(
            query,
            sequence_ids=sequence_id or (),
            texts=text or (),
            examples=[inputs.example(path) for path in example or ()],
            damping_factor=damping_factor,
            include_layers=layers,
            model=model,
        )
    if as_json:
        console.print_json(documents.answer(table, query, damping_factor=damping_factor))
        return
    console.stdout().print(scores(table))
