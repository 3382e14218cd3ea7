"""``whence groups``: the signal and the influence of each source on an output."""

from __future__ import annotations

from typing import Annotated

from whence.cli import console, documents, inputs, options
from whence.cli.connection import Connection, connecting
from whence.cli.options import query_option
from whence.cli.render.groups import group_influences
from whence.options import GroupOptions


@connecting
def groups(
    prompt: options.Prompt = None,
    completion: options.Completion = None,
    prompt_file: options.PromptFile = None,
    chat: options.Chat = None,
    strict: options.Strict = False,
    by: Annotated[str, query_option(GroupOptions, "group_by", "--by")] = "source",
    samples: Annotated[int | None, query_option(GroupOptions, "samples")] = None,
    seed: Annotated[int, query_option(GroupOptions, "seed")] = 0,
    source: options.Sources = None,
    where: options.Where = None,
    document: options.Document = None,
    layer: options.Layers = None,
    damping_factor: options.DampingFactor = None,
    model: options.ModelName = "",
    connection: Connection = Connection(),
    as_json: options.Json = False,
) -> None:
    """Show how much of an output comes from each part of the corpus, with intervals.

    What is signal is summed over a sample that is scored exactly, each sequence for as many as it stands for. The
    server needs an index.

    whence groups --prompt "The capital of Durrow is" --completion " Brelary" --by source
    """
    query = inputs.query(prompt, prompt_file, completion, chat, strict=strict)
    only = inputs.only(source, where, document)
    with connection.client() as client:
        result = client.group_influence(
            query,
            group_by=by,
            samples=samples,
            seed=seed,
            only=only,
            layers=layer or (),
            damping_factor=damping_factor,
            model=model,
        )
    if as_json:
        console.print_json(
            documents.answer(
                result,
                query,
                group_by=by,
                samples=samples,
                seed=seed,
                only=only,
                layers=layer,
                damping_factor=damping_factor,
            )
        )
        return
    console.stdout().print(group_influences(result))
