"""The OpenAPI document, which ``scripts/openapi.py`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from whence.explore import static

DOCUMENT: Final = Path(__file__).with_name("openapi.json")


def _document(request: Request) -> Response:
    return static.file_response(request, DOCUMENT)


ROUTE: Final = Route("/openapi.json", _document, middleware=[Middleware(GZipMiddleware)])
