"""What browsers report of the page's Content-Security-Policy: each report is a bug of the page, or an attempt."""

from __future__ import annotations

import json
import logging
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from whence.explore.headers import CSP_REPORT
from whence.terminal import printable

_log: Final = logging.getLogger(__name__)
_MAX_BYTES: Final = 16 * 1024
_SHOWN: Final = ("effective-directive", "violated-directive", "blocked-uri", "source-file", "line-number")


class Violations:
    """The reports of this process. State: their number. Owner: the event loop."""

    def __init__(self) -> None:
        self.count = 0

    def __repr__(self) -> str:
        return f"<Violations {self.count}>"

    @property
    def route(self) -> Route:
        """The route that browsers report to."""
        return Route(CSP_REPORT, self._note, methods=["POST"])

    async def _note(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BYTES:
                break
        self.count += 1
        _log.warning("the browser refused what the page's policy forbids: %s", _summary(body[:_MAX_BYTES]))
        return Response(status_code=204)


def _summary(body: bytes) -> str:
    try:
        report: Any = json.loads(body)["csp-report"]
        shown = {name: str(report[name])[:200] for name in _SHOWN if name in report}
    except (ValueError, KeyError, TypeError, RecursionError):
        return "a report that cannot be read"
    return printable(json.dumps(shown))
