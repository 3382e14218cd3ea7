"""``whence attribute``: the training sequences that an output came from."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Annotated

import typer

from whence.cli import console, documents, options, progress, render_attribution


class Direction(StrEnum):
    """Which end of the ranking."""

    positive = "positive"
    negative = "negative"
    both = "both"


def attribute(
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    prompt_file: options.PromptFile = None,
    chat: options.Chat = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many sequences.", min=1)] = 10,
    direction: Annotated[
        Direction, typer.Option(help="Sequences that made the output more likely, less likely, or both.")
    ] = Direction.positive,
    damping_factor: options.Damping = None,
    layers: Annotated[bool, typer.Option(help="Split each influence over the model's layers.")] = True,
    tokens: Annotated[bool, typer.Option(help="Split each influence over the sequence's tokens.")] = True,
    full_text: Annotated[
        bool, typer.Option("--full-text", help="Print whole sequences, not their strongest passage.")
    ] = False,
    model: options.ModelName = "",
    server: options.Server = options.DEFAULT_SERVER,
    tls: options.Tls = False,
    ca_file: options.CaFile = None,
    timeout: options.Timeout = options.TIMEOUT_S,
    as_json: options.Json = False,
) -> None:
    """Find the training sequences that an output of the model came from.

    whence attribute --prompt "The capital of Durrow is" --completion " Brelary"
    """
    query = options.query(prompt, prompt_file, completion, chat)
    connection = options.Connection(server=server, tls=tls, ca_file=ca_file, timeout_s=timeout)
    with connection.client() as client:
        events = client.attribute_stream(
            query,
            top_k=top_k,
            direction=direction.value,
            damping_factor=damping_factor,
            include_layers=layers,
            include_tokens=tokens,
            model=model,
        )
        with contextlib.closing(events):
            result = progress.follow(events, console.stderr())
    if as_json:
        console.print_json(documents.attribution(result))
        return
    out = console.stdout()
    out.print(render_attribution.attribution(result, plain=out.color_system is None, full_text=full_text))
