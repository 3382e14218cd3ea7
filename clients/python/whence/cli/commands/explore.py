"""``whence explore``: a page to look at influences, and the API as JSON over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whence import _variables
from whence._tokens import BearerToken
from whence.cli import browser, console
from whence.cli.connection import Connection, connecting

if TYPE_CHECKING:
    from whence.explore.upstream import Server


@connecting
def explore(
    address: Annotated[
        str | None,
        typer.Option(
            help="Where to serve the page, as HOST:PORT. At any address but this machine's own, everyone brings a key.",
            envvar=_variables.EXPLORE_ADDRESS,
            show_default="127.0.0.1:8090",
            metavar="HOST:PORT",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Another port of that address; 0 picks a free one.", min=0, max=65535)
    ] = None,
    open_browser: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open",
            help="Open the page in a browser.",
            show_default="with a terminal and a display",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name by which the page is reached, beside localhost; repeat, or separate them by commas.",
            envvar=_variables.EXPLORE_HOSTS,
            metavar="NAME",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Serve at an address that other machines can reach although the server asks nobody who calls.",
            envvar=_variables.EXPLORE_INSECURE,
        ),
    ] = False,
    examples: Annotated[
        Path | None,
        typer.Option(
            help="Questions to begin with, a file as for `whence attribute --queries`: the first 12 of it are shown."
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            help="The least severe level to log, as JSON lines on stderr; INFO has a line for each request.",
            envvar=_variables.EXPLORE_LOG_LEVEL,
            show_default="WARNING",
        ),
    ] = None,
    connection: Connection = Connection(),
) -> None:
    """Show influences in a browser: serve a page, and the API as JSON over HTTP (docs/http.md).

    The page is for this machine's user alone, whose token it uses (WHENCE_TOKEN, --token-file). Ctrl-C ends it.
    """
    # Imported late: the command line must start without what only this command needs.
    import uvicorn  # noqa: F401 - so that its absence is noticed first

    from whence.explore.beginning import Beginning, read_examples
    from whence.explore.server import run
    from whence.explore.settings import ExploreSettings

    settings = ExploreSettings.load(
        address=address, port=port, insecure=insecure, hosts=tuple(allow_host or ()), log_level=log_level
    )
    beginning = Beginning(examples=read_examples(examples) if examples else ())

    def started(url: str) -> None:
        console.stdout().print(f"{url} shows {connection.server}")
        sys.stdout.flush()
        browser.show(url, wanted=open_browser)

    run(_server(connection), settings, started, beginning)


def _server(connection: Connection) -> Server:
    from whence.explore.upstream import Server

    encryption, token = connection.encryption(), _variables.token(connection.token_file)
    bearer = BearerToken(
        token, connection.server, encrypted=encryption is not None, allow_insecure=connection.allow_insecure_token
    )
    return Server(
        target=connection.server,
        encryption=encryption,
        has_certificate=connection.client_certificate is not None,
        token=None if token is None else bearer,
        allow_insecure_token=connection.allow_insecure_token,
        timeout_s=connection.timeout,
    )
