"""``whence models``: the served models."""

from __future__ import annotations

from typing import Annotated

import typer

from whence.cli import console, documents, options
from whence.cli.connection import Connection, connecting
from whence.cli.render.models import details, overview


@connecting
def models(
    name: Annotated[str | None, typer.Argument(help="Show this model in full.")] = None,
    connection: Connection = Connection(timeout=30.0),
    as_json: options.Json = False,
) -> None:
    """List the served models, or show one in full."""
    with connection.client() as client:
        if name is not None:
            served = client.model(name)
            document, rendered = documents.model(served), details(served)
        else:
            several = list(client.models())
            document, rendered = documents.models(several), overview(several)
    if as_json:
        console.print_json(document)
        return
    console.stdout().print(rendered)
