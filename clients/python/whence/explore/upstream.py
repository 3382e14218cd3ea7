"""The gRPC server behind the page: its channel, and whose credentials go with a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import Message

from whence import _channel, _proxies
from whence._channel import Metadata
from whence._retries import DEFAULT_RETRY, FOREVER_S
from whence._tokens import BearerToken
from whence.errors import InvalidRequestError, UnavailableError
from whence.explore.api.methods import METHODS, Method
from whence.reasons import Reason
from whence.tls import Encryption

_PROBE_S: Final = 5.0
_LIST_MODELS: Final = next(method for method in METHODS if method.name == "ListModels")


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server to call. ``token`` is the process's own, which goes with calls that bring none.

    ``has_certificate`` says that the process itself is known to the server by a client certificate.
    """

    target: str
    encryption: Encryption | None = None
    has_certificate: bool = False
    token: BearerToken | None = None
    allow_insecure_token: bool = False
    timeout_s: float = 600.0


class Upstream:
    """The connection to a server. State: the channel, opened by the first call. Owner: the event loop."""

    def __init__(self, server: Server) -> None:
        _channel.check_target(server.target)
        self.server = server
        self._channel: grpc.aio.Channel | None = None
        self._closing = False

    def __repr__(self) -> str:
        state = "closing" if self._closing else "closed" if self._channel is None else "open"
        return f"<Upstream {self.server.target} {state}>"

    async def call(self, method: Method, request: Message, *, metadata: Metadata, timeout_s: float) -> Message:
        """Return the answer of a unary call. Raises ``grpc.RpcError``, and ``UnavailableError`` while it closes."""
        multi: grpc.aio.UnaryUnaryMultiCallable[Message, Message] = self._opened().unary_unary(
            method.rpc, method.request.SerializeToString, method.response.FromString
        )
        with self._unless_closing():
            return await multi(request, timeout=min(timeout_s, FOREVER_S), metadata=metadata)

    async def stream(
        self, method: Method, request: Message, *, metadata: Metadata, timeout_s: float
    ) -> AsyncGenerator[Message, None]:
        """Yield the messages of a call, which ends where the generator is closed. Raises as :meth:`call` does."""
        multi: grpc.aio.UnaryStreamMultiCallable[Message, Message] = self._opened().unary_stream(
            method.rpc, method.request.SerializeToString, method.response.FromString
        )
        call = multi(request, timeout=min(timeout_s, FOREVER_S), metadata=metadata)
        try:
            with self._unless_closing():
                async for message in call:
                    yield message
        finally:
            call.cancel()

    def credentials(self, authorization: str) -> Metadata:
        """Return the credentials of a call: those that its caller brings, else the process's own, if it has any.

        Raises ``InvalidRequestError`` (``UNEXPECTED_TOKEN``) where they would cross the network unencrypted.
        """
        server = self.server
        if not authorization:
            return () if server.token is None else server.token.metadata()
        if server.encryption is None and not server.allow_insecure_token and not _proxies.is_here(server.target):
            raise InvalidRequestError(
                "the credentials would be sent on without TLS: whoever runs this page must switch TLS on (--tls), or "
                "allow it where the network is trusted (--allow-insecure-token)",
                reason=Reason.UNEXPECTED_TOKEN,
                field="Authorization",
            )
        return (("authorization", authorization),)

    async def asks_who_calls(self) -> bool | None:
        """Return whether the server refuses calls with no other credentials than our own; None: it does not answer."""
        metadata = self.credentials("")
        try:
            await self.call(_LIST_MODELS, _LIST_MODELS.request(), metadata=metadata, timeout_s=_PROBE_S)
        except grpc.RpcError as failure:
            if failure.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return None
            return failure.code() is grpc.StatusCode.UNAUTHENTICATED
        return False

    async def close(self, grace_s: float = 0.0) -> None:
        """Close the connection. Calls in flight have ``grace_s`` seconds, then they fail as unavailable."""
        self._closing = True
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(grace_s)

    def _opened(self) -> grpc.aio.Channel:
        if self._closing:
            raise _being_stopped()
        if self._channel is None:
            self._channel = _channel.open_async(self.server.target, self.server.encryption, DEFAULT_RETRY)
        return self._channel

    @contextmanager
    def _unless_closing(self) -> Generator[None, None, None]:
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closing or (task is not None and task.cancelling()):
                raise
            raise _being_stopped() from None


def _being_stopped() -> UnavailableError:
    return UnavailableError("this page is being stopped: call again, or start it again", reason=Reason.PAGE_UNAVAILABLE)
