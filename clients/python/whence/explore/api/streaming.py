"""Answers that arrive one message at a time, as lines of JSON; and calls that end when their caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from typing import Final, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from whence.errors import CancelledByCallerError
from whence.reasons import Reason

T = TypeVar("T")
NDJSON: Final = "application/x-ndjson"


class LineStream(Response):
    """A response of lines, each sent as soon as it is there. ``lines`` is closed when the caller goes away."""

    def __init__(self, lines: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        super().__init__(None, 200, {**headers, "Cache-Control": "no-store"}, NDJSON)
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        async with aclosing(self._lines) as lines:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                await unless_gone(receive, _send_all(lines, send))
            except CancelledByCallerError:
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Return the result of ``work``, which is cancelled when the caller goes away.

    Raises ``CancelledByCallerError`` then. The body of the request must have been read.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CancelledByCallerError("the caller went away", reason=Reason.CANCELLED)
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_all(lines: AsyncGenerator[bytes, None], send: Send) -> None:
    async for line in lines:
        await send({"type": "http.response.body", "body": line, "more_body": True})
