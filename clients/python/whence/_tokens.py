"""Bearer tokens: where they may be sent, and how they go with a call. Nothing here repeats one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from whence import _proxies
from whence._channel import Metadata
from whence.errors import InvalidRequestError, UnauthenticatedError
from whence.reasons import Reason

TokenSource: TypeAlias = "str | Callable[[], str]"
_NAME: Final = "authorization"


class BearerToken:
    """The token of a client, or none. A function is called for each call, from the call's thread or event loop."""

    def __init__(self, source: TokenSource | None, target: str, *, encrypted: bool, allow_insecure: bool) -> None:
        self._source = source
        if source is not None and not (encrypted or allow_insecure or _proxies.is_here(target)):
            raise InvalidRequestError(
                f"a token would be sent to {target} without TLS, for everyone between here and there to read and use: "
                "switch TLS on (tls, --tls), or allow it where the network is trusted (allow_insecure_token, "
                "--allow-insecure-token)",
                reason=Reason.UNEXPECTED_TOKEN,
                field="token",
            )
        if isinstance(source, str):
            _check(source)

    def __repr__(self) -> str:
        return f"<BearerToken {'none' if self._source is None else 'set'}>"

    def metadata(self) -> Metadata:
        """Return the metadata of a call. Raises ``UnauthenticatedError`` for a token that cannot be sent."""
        if self._source is None:
            return ()
        return ((_NAME, f"Bearer {_check(self._source() if callable(self._source) else self._source)}"),)


def _check(token: object) -> str:
    """Return the token without the white space around it, such as the end of its file's line."""
    stripped = token.strip() if isinstance(token, str) else ""
    if not stripped or not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        got = f"a text of {len(token)} characters" if isinstance(token, str) else f"a {type(token).__name__}"
        raise UnauthenticatedError(
            f"the token is {got}, which cannot be sent: it must have printable ASCII characters without spaces, and at "
            "least one",
            reason=Reason.INVALID_CREDENTIALS,
        )
    return stripped
