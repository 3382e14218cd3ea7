"""``whence outliers``: the training sequences that influence themselves most."""

from __future__ import annotations

from typing import Annotated

import typer

from whence.cli import console, documents, options, render_attribution


def outliers(
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many sequences.", min=1)] = 10,
    source: options.Sources = None,
    where: options.Where = None,
    full_text: options.FullText = False,
    model: options.ModelName = "",
    server: options.Server = options.DEFAULT_SERVER,
    tls: options.Tls = False,
    ca_file: options.CaFile = None,
    timeout: options.Timeout = options.TIMEOUT_S,
    as_json: options.Json = False,
) -> None:
    """List the training sequences that influence themselves most: outliers, and what was learnt by heart.

    The server needs an index, which has the self-influence of every sequence.

    whence outliers --top-k 20 --source web
    """
    connection = options.Connection(server=server, tls=tls, ca_file=ca_file, timeout_s=timeout)
    with connection.client() as client:
        result = client.self_influence(top_k=top_k, only=options.only(source, where), model=model)
    if as_json:
        console.print_json(documents.self_influences(result))
        return
    out = console.stdout()
    out.print(render_attribution.self_influences(result, plain=out.color_system is None, full_text=full_text))
