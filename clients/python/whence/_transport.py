"""The connections of the two clients: a part of them that is written twice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import grpc
import grpc.aio

from whence import _channel
from whence._retries import RetryPolicy
from whence.tls import Encryption
from whence.v1.attribution_service_pb2_grpc import AttributionServiceStub

if TYPE_CHECKING:
    from whence.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub


class Transport:
    """The connection of a synchronous client. Threads may share it."""

    def __init__(self, target: str, encryption: Encryption | None, retry: RetryPolicy | None) -> None:
        _channel.check_target(target)
        self._channel = _channel.open_sync(target, encryption, retry)
        self.stub = AttributionServiceStub(self._channel)

    def close(self) -> None:
        """Close the connection and cancel the calls in flight."""
        self._channel.close()


class AsyncTransport:
    """The connection of an asynchronous client, opened by its first call: the channel belongs to the loop of then."""

    def __init__(self, target: str, encryption: Encryption | None, retry: RetryPolicy | None) -> None:
        _channel.check_target(target)
        self._open = partial(_channel.open_async, target, encryption, retry)
        self._channel: grpc.aio.Channel | None = None
        self._stub: AttributionServiceAsyncStub | None = None

    @property
    def stub(self) -> AttributionServiceAsyncStub:
        """The methods of the service."""
        if self._stub is None:
            self._channel = self._open()
            self._stub = cast("AttributionServiceAsyncStub", AttributionServiceStub(self._channel))
        return self._stub

    async def close(self) -> None:
        """Close the connection and cancel the calls in flight. A later call opens another."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = self._stub = None
