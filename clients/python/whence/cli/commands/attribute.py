"""``whence attribute``: the training sequences that an output came from."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Annotated, cast

from whence.cli import console, documents, inputs, options, progress
from whence.cli.connection import Connection, connecting
from whence.cli.options import query_option
from whence.cli.render.attribution import attribution
from whence.options import AttributionOptions, Direction, Search


class DirectionChoice(StrEnum):
    """The values of ``--direction``."""

    positive = "positive"
    negative = "negative"
    both = "both"


class SearchChoice(StrEnum):
    """The values of ``--search``: those of :data:`whence.options.Search`, spelt with hyphens."""

    auto = "auto"
    full_scan = "full-scan"
    index_rerank = "index-rerank"
    index_only = "index-only"
    tfidf_rerank = "tfidf-rerank"
    union_rerank = "union-rerank"


@connecting
def attribute(
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    prompt_file: options.PromptFile = None,
    chat: options.Chat = None,
    strict: options.Strict = False,
    top_k: Annotated[int, query_option(AttributionOptions, "top_k", "--top-k", "-k")] = 10,
    direction: Annotated[DirectionChoice, query_option(AttributionOptions, "direction")] = DirectionChoice.positive,
    damping_factor: options.DampingFactor = None,
    search: Annotated[SearchChoice, query_option(AttributionOptions, "search")] = SearchChoice.auto,
    candidates: Annotated[int | None, query_option(AttributionOptions, "candidates")] = None,
    source: options.Sources = None,
    where: options.Where = None,
    document: options.Document = None,
    layer: options.Layers = None,
    partial: Annotated[bool, query_option(AttributionOptions, "return_partial_success", "--partial")] = False,
    significant: Annotated[bool, query_option(AttributionOptions, "significant_only", "--significant")] = False,
    layers: Annotated[bool, query_option(AttributionOptions, "include_layers", "--layers/--no-layers")] = True,
    tokens: Annotated[bool, query_option(AttributionOptions, "include_tokens", "--tokens/--no-tokens")] = True,
    full_text: options.FullText = False,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Find the training sequences that an output of the model came from.

    whence attribute --prompt "The capital of Durrow is" --completion " Brelary"
    """
    query = inputs.query(prompt, prompt_file, completion, chat, strict=strict)
    with connection.client() as client:
        events = client.attribute_stream(
            query,
            top_k=top_k,
            direction=cast("Direction", direction.name),
            damping_factor=damping_factor,
            include_layers=layers,
            include_tokens=tokens,
            search=cast("Search", search.name),
            candidates=candidates,
            only=inputs.only(source, where, document),
            layers=layer or (),
            return_partial_success=partial,
            significant_only=significant,
            model=model,
        )
        with contextlib.closing(events):
            result = progress.follow(events, console.stderr())
    if as_json:
        console.print_json(documents.answer(result))
        return
    out = console.stdout()
    out.print(attribution(result, plain=out.color_system is None, full_text=full_text))
