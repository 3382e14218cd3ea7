"""Log lines as JSON on stderr, one for each request at level INFO."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whence.explore.api.metadata import REQUEST_ID

_log: Final = logging.getLogger("whence.explore.requests")
_FACTS: Final = "facts"


class JsonLines(logging.Formatter):
    """Formats a record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, _FACTS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII: nothing in it can steer a terminal


def configure(level: str) -> None:
    """Set up logging for the whole process, once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class RequestLog:
    """Logs each request at its end: method, path, status, seconds and id. Neither bodies nor credentials."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or not _log.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        started, head = time.perf_counter(), {"status": 0, "request_id": ""}

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                head.update(status=message["status"], request_id=Headers(raw=message["headers"]).get(REQUEST_ID, ""))
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            facts = {"method": scope["method"], "path": scope["path"][:200], **head}
            facts["duration_s"] = round(time.perf_counter() - started, 6)
            _log.info("request", extra={_FACTS: facts})
