"""The routes of the API: one path a method, each of which makes one call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from whence._channel import Metadata
from whence.explore.api import bodies, metadata, statuses, transcoding
from whence.explore.api.metadata import REQUEST_ID
from whence.explore.api.methods import METHODS, Method
from whence.explore.api.streaming import LineStream, unless_gone
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Upstream

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

    def __init__(self, method: Method, upstream: Upstream, settings: ExploreSettings) -> None:
        self._method = method
        self._upstream = upstream
        self._settings = settings

    async def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        asked = await self._read(request)
        request.state.request_id = asked.request_id
        return await (self._stream if self._method.streams else self._answer)(asked, request)

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
        try:
            message = await unless_gone(request.receive, call)
        except grpc.RpcError as failure:
            return self._failed(failure, asked)
        body = await _off_the_loop(message.ByteSize(), transcoding.to_json, message)
        return Response(body, headers={REQUEST_ID: asked.request_id}, media_type=statuses.JSON)

    async def _stream(self, asked: Asked, request: Request) -> Response:
        call = self._upstream.stream(self._method, asked.message, metadata=asked.metadata, timeout_s=asked.timeout_s)
        try:
            first = await unless_gone(request.receive, call.read())
        except grpc.RpcError as failure:
            return self._failed(failure, asked)
        except BaseException:
            call.cancel()
            raise
        return LineStream(self._lines(call, first, asked), {REQUEST_ID: asked.request_id})

    async def _lines(self, call: Any, first: Any, asked: Asked) -> AsyncGenerator[bytes, None]:  # noqa: ANN401 - grpc's
        """Yield the messages of a call as lines, then why it failed, if it did."""
        try:
            message = first
            while message is not grpc.aio.EOF:
                yield b'{"result":%b}' % await _off_the_loop(message.ByteSize(), transcoding.to_json, message)
                message = await call.read()
        except grpc.RpcError as failure:
            status = statuses.of_failure(failure, asked.message, self._upstream.server.target)
            yield b'{"error":%b}' % statuses.to_json(status)
        finally:
            call.cancel()

    def _failed(self, failure: grpc.RpcError, asked: Asked) -> Response:
        status = statuses.of_failure(failure, asked.message, self._upstream.server.target)
        return statuses.response(status, headers={REQUEST_ID: asked.request_id})


def routes(upstream: Upstream, settings: ExploreSettings) -> list[Route]:
    """Return a route for each method of the service."""
    return [_route(method, MethodEndpoint(method, upstream, settings)) for method in METHODS]


def _route(method: Method, endpoint: MethodEndpoint) -> Route:
    # Not for streams, whose lines compression would hold back.
    compressed = [] if method.streams else [Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)]
    return Route(method.path, endpoint.respond, methods=["POST"], middleware=compressed)


async def _off_the_loop(size_bytes: int, function: Any, *arguments: Any) -> Any:  # noqa: ANN401 - of any function
    if size_bytes <= _LARGE_BYTES:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)
