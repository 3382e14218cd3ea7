"""``whence attribute``: the training sequences that an output came from."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Annotated, Final

import typer

from whence import requests
from whence.cli import console, documents, options, progress
from whence.cli.render.attribution import attribution


class Direction(StrEnum):
    """Which end of the ranking."""

    positive = "positive"
    negative = "negative"
    both = "both"


class Search(StrEnum):
    """How the sequences are found."""

    auto = "auto"
    full_scan = "full-scan"
    index_rerank = "index-rerank"
    index_only = "index-only"
    tfidf_rerank = "tfidf-rerank"


_SEARCHES: Final[dict[Search, requests.Search]] = {
    Search.auto: "auto",
    Search.full_scan: "full_scan",
    Search.index_rerank: "index_rerank",
    Search.index_only: "index_only",
    Search.tfidf_rerank: "tfidf_rerank",
}


def attribute(
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    prompt_file: options.PromptFile = None,
    chat: options.Chat = None,
    strict: options.Strict = False,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many sequences.", min=1)] = 10,
    direction: Annotated[
        Direction, typer.Option(help="Sequences that made the output more likely, less likely, or both.")
    ] = Direction.positive,
    damping_factor: options.Damping = None,
    search: Annotated[
        Search,
        typer.Option(
            help="'full-scan' scores the whole corpus, 'index-rerank' the best candidates of the index, 'index-only' "
            "none, 'tfidf-rerank' those that share tokens with the query; 'auto' uses an index where there is one."
        ),
    ] = Search.auto,
    candidates: Annotated[int | None, typer.Option(min=1, help="How many candidates are scored exactly.")] = None,
    source: options.Sources = None,
    where: options.Where = None,
    document: options.Document = None,
    layer: options.Layers = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Answer although shards of the corpus cannot be reached, and name them.")
    ] = False,
    layers: Annotated[bool, typer.Option(help="Split each influence over the model's layers.")] = True,
    tokens: Annotated[bool, typer.Option(help="Split each influence over the sequence's tokens.")] = True,
    full_text: options.FullText = False,
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
    query = options.query(prompt, prompt_file, completion, chat, strict=strict)
    connection = options.Connection(server=server, tls=tls, ca_file=ca_file, timeout_s=timeout)
    with connection.client() as client:
        events = client.attribute_stream(
            query,
            top_k=top_k,
            direction=direction.value,
            damping_factor=damping_factor,
            include_layers=layers,
            include_tokens=tokens,
            search=_SEARCHES[search],
            candidates=candidates,
            only=options.only(source, where, document),
            layers=layer or (),
            return_partial_success=partial,
            model=model,
        )
        with contextlib.closing(events):
            result = progress.follow(events, console.stderr())
    if as_json:
        console.print_json(documents.attribution(result))
        return
    out = console.stdout()
    out.print(attribution(result, plain=out.color_system is None, full_text=full_text))
