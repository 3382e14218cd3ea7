"""The report of answers that the page shows: one HTML file, made of what the page sends, which nobody else is asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from whence import report
from whence.errors import InvalidRequestError
from whence.explore.api import bodies
from whence.explore.settings import ExploreSettings
from whence.reasons import Reason

PATH: Final = "/page/report"
# It is saved as a file, and never shown as a page of this host.
_HEADERS: Final = {"Content-Disposition": 'attachment; filename="report.html"'}


def route(settings: ExploreSettings) -> Route:
    """Return the route of reports. It takes ``{"answers": [{"request": …, "answer": …}, …]}``, as the API has them."""

    async def respond(request: Request) -> Response:
        body = await bodies.read(
            request.receive,
            request.headers,
            max_bytes=settings.max_body_bytes,
            timeout_s=settings.body_timeout_s,
        )
        html = await asyncio.to_thread(_html, body)
        return Response(html, media_type="text/html", headers=_HEADERS)

    return Route(PATH, respond, methods=["POST"])


def _html(body: bytes) -> bytes:
    answers = _answers(body)
    return report.html([report.exchange(answer, "an answer") for answer in answers]).encode("utf-8", "replace")


def _answers(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    answers = document.get("answers") if isinstance(document, dict) else None
    if not isinstance(answers, list) or not answers or not all(map(report.is_exchange, answers)):
        raise InvalidRequestError(
            'the body is no list of answers: expected {"answers": [{"request": …, "answer": …}]} with at least one',
            reason=Reason.UNREADABLE_RESULT,
            field="answers",
        )
    return answers
