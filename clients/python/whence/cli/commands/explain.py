"""``whence explain``: the influence of a training sequence on an output, by layer and token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console, documents, inputs, options
from whence.cli.connection import Connection, connecting
from whence.cli.render.explanation import explanation


@connecting
def explain(
    sequence_id: Annotated[str | None, typer.Option("--sequence-id", help="A sequence of the corpus.")] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="A text, scored as if it were a training sequence.")
    ] = None,
    example: Annotated[
        Path | None, typer.Option("--example", help="A JSON file with a training example, as `whence score` takes it.")
    ] = None,
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    prompt_file: options.PromptFile = None,
    chat: options.Chat = None,
    strict: options.Strict = False,
    damping_factor: options.DampingFactor = None,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Show which layers and which tokens of a training sequence carry its influence on an output."""
    query = inputs.query(prompt, prompt_file, completion, chat, strict=strict)
    if sum(given is not None for given in (sequence_id, text, example)) != 1:
        raise typer.BadParameter("give the sequence with one of --sequence-id, --text and --example")
    with connection.client() as client:
        result = client.explain(
            query,
            sequence_id=sequence_id,
            text=text,
            example=None if example is None else inputs.example(example),
            damping_factor=damping_factor,
            model=model,
        )
    if as_json:
        console.print_json(documents.answer(result, query, damping_factor=damping_factor))
        return
    out = console.stdout()
    out.print(explanation(result, plain=out.color_system is None, width=out.width))
