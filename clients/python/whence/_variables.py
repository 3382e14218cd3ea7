"""The connection that the variables of the environment describe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from whence._channel import DEFAULT_TARGET
from whence._tokens import TokenSource
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.tls import Tls

SERVER: Final = "WHENCE_SERVER"
TLS: Final = "WHENCE_TLS"
CA_FILE: Final = "WHENCE_CA_FILE"
CLIENT_CERTIFICATE: Final = "WHENCE_CLIENT_CERTIFICATE"
CLIENT_KEY: Final = "WHENCE_CLIENT_KEY"
SERVER_NAME: Final = "WHENCE_SERVER_NAME"
TOKEN: Final = "WHENCE_TOKEN"
TOKEN_FILE: Final = "WHENCE_TOKEN_FILE"
ALLOW_INSECURE_TOKEN: Final = "WHENCE_ALLOW_INSECURE_TOKEN"
INSPECT_HOOK: Final = "WHENCE_INSPECT_HOOK"
INSPECT_TOP_K: Final = "WHENCE_INSPECT_TOP_K"
INSPECT_PROMPT_FORMAT: Final = "WHENCE_INSPECT_PROMPT_FORMAT"
INSPECT_MAX_CALLS: Final = "WHENCE_INSPECT_MAX_CALLS"
INSPECT_TIMEOUT_S: Final = "WHENCE_INSPECT_TIMEOUT_S"
INSPECT_WAIT_S: Final = "WHENCE_INSPECT_WAIT_S"
# Of the plug-in for inspect_ai.
INSPECT: Final = (
    INSPECT_HOOK, INSPECT_TOP_K, INSPECT_PROMPT_FORMAT, INSPECT_MAX_CALLS, INSPECT_TIMEOUT_S, INSPECT_WAIT_S,
)  # fmt: skip
EXPLORE_ADDRESS: Final = "WHENCE_EXPLORE_ADDRESS"
EXPLORE_HOSTS: Final = "WHENCE_EXPLORE_HOSTS"
EXPLORE_INSECURE: Final = "WHENCE_EXPLORE_INSECURE"
EXPLORE_LOG_LEVEL: Final = "WHENCE_EXPLORE_LOG_LEVEL"
# Of the page.
EXPLORE: Final = (EXPLORE_ADDRESS, EXPLORE_HOSTS, EXPLORE_INSECURE, EXPLORE_LOG_LEVEL)
NAMES: Final = (
    SERVER, TLS, CA_FILE, CLIENT_CERTIFICATE, CLIENT_KEY, SERVER_NAME, TOKEN, TOKEN_FILE, ALLOW_INSECURE_TOKEN,
)  # fmt: skip

_ON: Final = ("1", "true", "t", "yes", "y", "on")
_OFF: Final = ("", "0", "false", "f", "no", "n", "off")


def client_arguments(given: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the arguments of a client: where the server is, and how to be let in.

    Raises ``InvalidRequestError`` (``INVALID_SETTINGS``) for a switch that is neither on nor off.
    """
    token_file = given.get(TOKEN_FILE)
    return {
        "target": given.get(SERVER) or DEFAULT_TARGET,
        "tls": tls(
            switch(TLS, given),
            ca_file=given.get(CA_FILE),
            certificate_file=given.get(CLIENT_CERTIFICATE),
            key_file=given.get(CLIENT_KEY),
            server_name=given.get(SERVER_NAME, ""),
        ),
        "token": token(Path(token_file) if token_file else None, given),
        "allow_insecure_token": switch(ALLOW_INSECURE_TOKEN, given),
    }


def tls(
    wanted: bool,
    *,
    ca_file: str | os.PathLike[str] | None,
    certificate_file: str | os.PathLike[str] | None,
    key_file: str | os.PathLike[str] | None,
    server_name: str,
) -> Tls | None:
    """Return TLS where it is wanted, or any of its values is given."""
    if not (wanted or ca_file or certificate_file or key_file or server_name):
        return None
    return Tls(
        ca_file=ca_file or None,
        certificate_file=certificate_file or None,
        key_file=key_file or None,
        server_name=server_name,
    )


def token(file: Path | None, given: Mapping[str, str] = os.environ) -> TokenSource | None:
    """Return the token of ``file``, which is read for each call, or else that of the variable, if it is set."""
    return given.get(TOKEN) or None if file is None else lambda: _read(file)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        problem = "it is not text in UTF-8"
    raise InvalidRequestError(
        f"the token file {file} cannot be read: {problem}", reason=Reason.FILE_FAILED, field="token_file", path=file
    )


def switch(name: str, given: Mapping[str, str] = os.environ) -> bool:
    """Return whether a variable is on. Raises ``InvalidRequestError`` where it is neither on nor off."""
    value = given.get(name, "").strip().lower()
    if value not in (*_ON, *_OFF):
        raise InvalidRequestError(
            f"{name} is {value!r}: expected true or false", reason=Reason.INVALID_SETTINGS, field=name
        )
    return value in _ON
