"""``whence explore``: a page to look at influences, and the API as JSON over HTTP."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from whence import _variables
from whence._tokens import BearerToken
from whence.cli import console
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
            help="A name by which the page is reached, beside localhost; repeat.",
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
    connection: Connection = Connection(),
) -> None:
    """Show influences in a browser: serve a page, and the API as JSON over HTTP (docs/http.md).

    The page is for this machine's user alone, whose token it uses (WHENCE_TOKEN, --token-file). Ctrl-C ends it.
    """
    # Imported late: the command line must start without what only this command needs.
    import uvicorn  # noqa: F401 - so that its absence is noticed first

    from whence.explore.server import run
    from whence.explore.settings import ExploreSettings

    settings = ExploreSettings.load(address=address, port=port, insecure=insecure, hosts=tuple(allow_host or ()))
    wanted = _has_display() if open_browser is None else open_browser

    def started(url: str) -> None:
        console.stdout().print(f"{url} shows {connection.server}")
        sys.stdout.flush()
        if wanted:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    run(_server(connection), settings, started)


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


def _has_display() -> bool:
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
