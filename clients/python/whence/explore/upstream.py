"""The gRPC server behind the page: its channel, and whose credentials go with a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import Message

from whence import _channel, _proxies
from whence._channel import Metadata
from whence._retries import DEFAULT_RETRY, FOREVER_S
from whence._tokens import BearerToken
from whence.errors import InvalidRequestError
from whence.explore.api.methods import METHODS, Method
from whence.reasons import Reason
from whence.tls import Encryption

Call = grpc.aio.UnaryUnaryCall[Message, Message]
StreamCall = grpc.aio.UnaryStreamCall[Message, Message]
_PROBE_S: Final = 5.0
_LIST_MODELS: Final = next(method for method in METHODS if method.name == "ListModels")


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server to call. ``token`` is the process's own, which goes with calls that bring none."""

    target: str
    encryption: Encryption | None = None
    token: BearerToken | None = None
    allow_insecure_token: bool = False
    timeout_s: float = 600.0


class Upstream:
    """The connection to a server. State: the channel, opened by the first call. Owner: the event loop."""

    def __init__(self, server: Server) -> None:
        _channel.check_target(server.target)
        self.server = server
        self._channel: grpc.aio.Channel | None = None

    def call(self, method: Method, request: Message, *, metadata: Metadata, timeout_s: float) -> Call:
        """Make a unary call."""
        multi = self._opened().unary_unary(method.rpc, method.request.SerializeToString, method.response.FromString)
        return multi(request, timeout=min(timeout_s, FOREVER_S), metadata=metadata)

    def stream(self, method: Method, request: Message, *, metadata: Metadata, timeout_s: float) -> StreamCall:
        """Make a call whose answer is a stream."""
        multi = self._opened().unary_stream(method.rpc, method.request.SerializeToString, method.response.FromString)
        return multi(request, timeout=min(timeout_s, FOREVER_S), metadata=metadata)

    def credentials(self, authorization: str) -> Metadata:
        """Return the credentials of a call: those that its caller brings, else the process's own, if it has any.

        Raises ``InvalidRequestError`` (``UNEXPECTED_TOKEN``) where they would cross the network unencrypted.
        """
        if not authorization:
            return () if self.server.token is None else self.server.token.metadata()
        if not (self.server.encryption or self.server.allow_insecure_token or _proxies.is_here(self.server.target)):
            raise InvalidRequestError(
                "the credentials would be sent on without TLS: whoever runs this page must switch TLS on (--tls), or "
                "allow it where the network is trusted (--allow-insecure-token)",
                reason=Reason.UNEXPECTED_TOKEN,
                field="Authorization",
            )
        return (("authorization", authorization),)

    async def asks_who_calls(self) -> bool | None:
        """Return whether the server refuses calls without other credentials than our own; None: it does not answer."""
        try:
            metadata = self.credentials("")
            await self.call(_LIST_MODELS, _LIST_MODELS.request(), metadata=metadata, timeout_s=_PROBE_S)
        except grpc.RpcError as failure:
            if failure.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return None
            return failure.code() is grpc.StatusCode.UNAUTHENTICATED
        return False

    async def close(self) -> None:
        """Close the connection and cancel the calls in flight."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _opened(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = _channel.open_async(self.server.target, self.server.encryption, DEFAULT_RETRY)
        return self._channel
