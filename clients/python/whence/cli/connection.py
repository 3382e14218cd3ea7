"""The connection of a command to a server, whose fields are the options that describe it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from whence import _variables
from whence._channel import DEFAULT_TARGET
from whence.client import Client
from whence.tls import Encryption, Tls, encryption

_PANEL: Final = "Connection"


def _option(*names: str, help: str, envvar: str | None = None, **more: Any) -> Any:  # noqa: A002, ANN401 - typer's own
    return typer.Option(*names, help=help, envvar=envvar, rich_help_panel=_PANEL, **more)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The connection to a server. A command has these options where :func:`connecting` gives it them."""

    server: Annotated[str, _option(help="The server, as host:port.", envvar=_variables.SERVER, metavar="HOST:PORT")] = (
        DEFAULT_TARGET
    )
    tls: Annotated[bool, _option("--tls", help="Connect with TLS.", envvar=_variables.TLS)] = False
    ca_file: Annotated[
        Path | None,
        _option(help="Trust these PEM certificates, not the usual ones; implies TLS.", envvar=_variables.CA_FILE),
    ] = None
    client_certificate: Annotated[
        Path | None,
        _option(
            help="A PEM certificate of ours, for servers that ask for one; implies TLS.",
            envvar=_variables.CLIENT_CERTIFICATE,
        ),
    ] = None
    client_key: Annotated[Path | None, _option(help="The key of that certificate.", envvar=_variables.CLIENT_KEY)] = (
        None
    )
    server_name: Annotated[
        str,
        _option(
            help="The name that the server's certificate must have, if not that of --server; implies TLS.",
            envvar=_variables.SERVER_NAME,
            show_default=False,
        ),
    ] = ""
    token_file: Annotated[
        Path | None,
        _option(
            help="A file with an API key or a token. Without it, that in WHENCE_TOKEN, if it is set.",
            envvar=_variables.TOKEN_FILE,
        ),
    ] = None
    allow_insecure_token: Annotated[
        bool,
        _option(
            "--allow-insecure-token",
            help="Send the token to another machine without TLS.",
            envvar=_variables.ALLOW_INSECURE_TOKEN,
        ),
    ] = False
    timeout: Annotated[float, _option(help="Give up after this many seconds.", min=0.001)] = 600.0

    @property
    def tls_files(self) -> Tls | None:
        """TLS, where an option asks for it."""
        return _variables.tls(
            self.tls,
            ca_file=self.ca_file,
            certificate_file=self.client_certificate,
            key_file=self.client_key,
            server_name=self.server_name,
        )

    def encryption(self) -> Encryption | None:
        """Return the encryption of a channel; None: no TLS. Raises ``UNREADABLE_CERTIFICATE``."""
        return encryption(self.tls_files, None)

    def client(self) -> Client:
        """Return a client, to be used as a context manager."""
        return Client(
            self.server,
            timeout_s=self.timeout,
            tls=self.tls_files,
            token=_variables.token(self.token_file),
            allow_insecure_token=self.allow_insecure_token,
        )


def connecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a connection in place of its parameter ``connection``.

    The defaults are those of the connection that is the parameter's default.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    defaults: Connection = signature.parameters["connection"].default
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        own = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        parameters += _options(defaults) if name == "connection" else [own]

    @functools.wraps(command)
    def connected(**given: Any) -> None:  # noqa: ANN401 - each of its option's type
        fields = {field.name: given.pop(field.name) for field in dataclasses.fields(Connection)}
        command(**given, connection=Connection(**fields))

    connected.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    connected.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return connected


def _options(defaults: Connection) -> list[inspect.Parameter]:
    hints = get_type_hints(Connection, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(defaults, field.name),
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(Connection)
    ]
