"""The routes of the API: one path a method, each of which makes one call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from whence._channel import Metadata
from whence.errors import WhenceError
from whence.explore.api import bodies, metadata, statuses, transcoding
from whence.explore.api.metadata import REQUEST_ID
from whence.explore.api.methods import METHODS, Method
from whence.explore.api.streaming import LineStream, unless_gone
from whence.explore.identities import ServerCheck
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Upstream

T = TypeVar("T")

# Messages of more bytes are read and written by another thread, so that the event loop stays free.
_LARGE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request: its message, and what goes with the call."""

    message: Message
    request_id: str
    metadata: Metadata
    timeout_s: float


class MethodEndpoint:
    """The endpoint of one method."""

    def __init__(self, method: Method, upstream: Upstream, check: ServerCheck, settings: ExploreSettings) -> None:
        self._method = method
        self._upstream = upstream
        self._check = check
        self._settings = settings

    async def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        asked = await self._read(request)
        request.state.request_id = asked.request_id
        await self._check.require()
        try:
            return await (self._stream if self._method.streams else self._answer)(asked, request)
        except grpc.RpcError as failure:
            return statuses.response(self._status(failure, asked), headers={REQUEST_ID: asked.request_id})

    async def _read(self, request: Request) -> Asked:
        body = await bodies.read(
            request.receive,
            request.headers,
            max_bytes=self._settings.max_body_bytes,
            timeout_s=self._settings.body_timeout_s,
        )
        message = await _off_the_loop(len(body), transcoding.from_json, self._method.request, body)
        request_id = metadata.request_id(request.headers, getattr(message, "request_id", ""))
        credentials = self._upstream.credentials(metadata.authorization(request.headers))
        return Asked(
            message=message,
            request_id=request_id,
            metadata=((REQUEST_ID, request_id), *metadata.trace(request.headers), *credentials),
            timeout_s=metadata.timeout_s(request.headers, self._upstream.server.timeout_s),
        )

    async def _answer(self, asked: Asked, request: Request) -> Response:
        call = self._upstream.call(self._method, asked.message, metadata=asked.metadata, timeout_s=asked.timeout_s)
        message = await unless_gone(request.receive, call)
        body = await _off_the_loop(message.ByteSize(), transcoding.to_json, message)
        return Response(body, headers={REQUEST_ID: asked.request_id}, media_type=statuses.JSON)

    async def _stream(self, asked: Asked, request: Request) -> Response:
        messages = self._upstream.stream(
            self._method, asked.message, metadata=asked.metadata, timeout_s=asked.timeout_s
        )
        # Until the first message, a failure is an ordinary response.
        first = await unless_gone(request.receive, anext(messages, None))
        return LineStream(self._lines(first, messages, asked), {REQUEST_ID: asked.request_id})

    async def _lines(
        self, first: Message | None, others: AsyncGenerator[Message, None], asked: Asked
    ) -> AsyncGenerator[bytes, None]:
        """Yield the messages as lines, then why the call failed, if it did."""
        async with aclosing(others):
            try:
                if first is not None:
                    yield await _line(first)
                async for message in others:
                    yield await _line(message)
            except grpc.RpcError as failure:
                yield _last_line(self._status(failure, asked))
            except WhenceError as error:
                yield _last_line(statuses.of_error(error))

    def _status(self, failure: grpc.RpcError, asked: Asked) -> status_pb2.Status:
        return statuses.of_failure(failure, asked.message, self._upstream.server.target)


def routes(upstream: Upstream, check: ServerCheck, settings: ExploreSettings) -> list[Route]:
    """Return a route for each method of the service."""
    return [_route(method, MethodEndpoint(method, upstream, check, settings)) for method in METHODS]


def _route(method: Method, endpoint: MethodEndpoint) -> Route:
    # Not for streams, whose lines compression would hold back.
    compressed = [] if method.streams else [Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)]
    return Route(method.path, endpoint.respond, methods=["POST"], middleware=compressed)


async def _line(message: Message) -> bytes:
    return b'{"result":%b}\n' % await _off_the_loop(message.ByteSize(), transcoding.to_json, message)


def _last_line(status: status_pb2.Status) -> bytes:
    return b'{"error":%b}\n' % statuses.to_json(status)


async def _off_the_loop(size_bytes: int, function: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401
    return function(*arguments) if size_bytes <= _LARGE_BYTES else await asyncio.to_thread(function, *arguments)
