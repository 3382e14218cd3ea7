"""Connections: how many there may be, and how long a request's head may take. Uvicorn bounds neither."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from whence.errors import InvalidRequestError
from whence.explore.api import statuses
from whence.explore.headers import HEADERS
from whence.reasons import Reason

MAX_CONNECTIONS: Final = 512
HEAD_TIMEOUT_S: Final = 10.0


class BoundedConnection(H11Protocol):
    """A connection that ends where no whole head of a request arrives in time, or where there are too many others."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.close()
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._wait_for_head()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP as any other failure, and close the connection."""
        self._stop_waiting()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is under way already
            self.transport.close()
            return
        error = InvalidRequestError("this is not a request of HTTP/1.1", reason=Reason.INVALID_HEADERS)
        body = statuses.to_json(statuses.of_error(error))
        headers = {**HEADERS, "Content-Type": statuses.JSON, "Content-Length": str(len(body)), "Connection": "close"}
        answer = h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request")
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._end_if_idle)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
