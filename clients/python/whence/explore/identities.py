"""Whose credentials the process may use: at other addresses than the loopback's, nobody's but the caller's."""

from __future__ import annotations

from whence.errors import InvalidRequestError, UnavailableError
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Server, Upstream
from whence.reasons import Reason


def check_own(server: Server, settings: ExploreSettings) -> None:
    """Raise ``InvalidRequestError`` (``INVALID_SETTINGS``) where others could call with the process's credentials."""
    if settings.is_local:
        return
    if server.token is not None:
        raise _refusal(
            settings,
            "a token of yours would be lent to whoever comes: leave out --token-file and WHENCE_TOKEN, so that "
            "everyone brings a key, or serve at 127.0.0.1",
            field="token",
        )
    if server.has_certificate and not settings.insecure:
        raise _refusal(
            settings,
            "a client certificate of yours would be lent to whoever comes: leave out --client-certificate, serve at "
            "127.0.0.1, or say --insecure where it is known to nobody but the server's TLS",
            field="client_certificate",
        )


class ServerCheck:
    """Sees that a page for other machines is of a server that asks who calls, unless ``insecure``.

    State: whether it was seen to ask, which is asked until it is. Owner: the event loop.
    """

    def __init__(self, upstream: Upstream, settings: ExploreSettings) -> None:
        self._upstream = upstream
        self._settings = settings
        self._passed = settings.is_local or settings.insecure

    def __repr__(self) -> str:
        return f"<ServerCheck {'passed' if self._passed else 'pending'}>"

    async def require(self) -> None:
        """Raise ``InvalidRequestError`` (``INVALID_SETTINGS``) for a server that asks nobody.

        Raises ``UnavailableError`` (``GRPC_UNAVAILABLE``) where it cannot be reached, so that nobody knows.
        """
        if self._passed:
            return
        asks = await self._upstream.asks_who_calls()
        target = self._upstream.server.target
        if asks is None:
            raise UnavailableError(f"the server at {target} cannot be reached", reason=Reason.GRPC_UNAVAILABLE)
        if not asks:
            raise _refusal(
                self._settings,
                f"the server at {target} asks nobody who calls: give it keys (docs/security.md), serve at 127.0.0.1, "
                "or say --insecure where the network itself is trusted",
                field="insecure",
            )
        self._passed = True


def _refusal(settings: ExploreSettings, problem: str, *, field: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"other machines can reach {settings.address}, and {problem}", reason=Reason.INVALID_SETTINGS, field=field
    )
