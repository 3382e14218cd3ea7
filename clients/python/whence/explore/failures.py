"""Errors of the process as responses, each a ``google.rpc.Status``; nothing of Python's own gets out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from whence.errors import InternalError, InvalidRequestError, NotFoundError, UnimplementedError, WhenceError
from whence.explore.api import statuses
from whence.explore.api.metadata import REQUEST_ID
from whence.explore.api.statuses import HttpRefusal
from whence.reasons import Reason


def handlers() -> dict[Any, Any]:
    """Return the handlers of exceptions, as Starlette takes them."""
    return {HTTPException: _not_routed, HttpRefusal: _refused, WhenceError: _failed, Exception: _crashed}


def _not_routed(request: Request, error: HTTPException) -> Response:
    path = request.url.path[:100]
    match error.status_code:
        case 404:
            return _response(
                request,
                NotFoundError(f"there is nothing at {path!a}: see /openapi.json", reason=Reason.UNKNOWN_PATH),
            )
        case 405:
            allowed = (error.headers or {}).get("Allow", "POST")
            unsupported = UnimplementedError(
                f"{request.method[:20]!a} is not a method of {path!a}: use {allowed}", reason=Reason.UNSUPPORTED_METHOD
            )
            return _response(request, unsupported, http_status=405, headers={"Allow": allowed})
    return _response(request, InvalidRequestError("the request cannot be read", reason=Reason.INVALID_HEADERS))


def _refused(request: Request, error: HttpRefusal) -> Response:
    return _response(request, error.error, http_status=error.http_status, headers=error.headers)


def _failed(request: Request, error: WhenceError) -> Response:
    return _response(request, error)


def _crashed(request: Request, error: Exception) -> Response:
    """Answer without a word of the exception, which uvicorn logs."""
    return _response(
        request, InternalError("an internal error; the log of this page has its traceback", reason=Reason.INTERNAL)
    )


def _response(
    request: Request, error: WhenceError, *, http_status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    request_id = getattr(request.state, "request_id", "") or str(uuid.uuid4())
    return statuses.response(
        statuses.of_error(error), http_status=http_status, headers={REQUEST_ID: request_id, **(headers or {})}
    )
