"""The composition root of the page's process: its parts are made and connected here."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from signal import SIGINT, SIGTERM
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from whence import __version__
from whence.errors import (
    InternalError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnimplementedError,
    WhenceError,
)
from whence.explore import static
from whence.explore.access import AccessGuard
from whence.explore.api import routes, statuses
from whence.explore.api.metadata import REQUEST_ID
from whence.explore.api.statuses import HttpRefusal
from whence.explore.headers import SecurityHeaders
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Server, Upstream
from whence.explore.violations import Violations
from whence.reasons import Reason

_log: Final = logging.getLogger(__name__)
_WHY: Final = {
    errno.EADDRINUSE: "another process listens there: choose another port with --port, or any free one with --port 0",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one of its own, such as 127.0.0.1",
    errno.EACCES: "this user may not: choose a port from 1024 up",
}


def create_app(upstream: Upstream, settings: ExploreSettings) -> ASGIApp:
    """Return the application: the page, the API, and what guards them."""
    violations = Violations()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await upstream.close()

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok", "cspViolations": violations.count})

    async def page_settings(_: Request) -> Response:
        needs_token = await upstream.asks_who_calls()
        return JSONResponse({"server": upstream.server.target, "needsToken": bool(needs_token), "version": __version__})

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            violations.route,
            Route("/page/settings.json", page_settings),
            *static.routes(),
            *routes.routes(upstream, settings),
        ],
        exception_handlers={
            HTTPException: _no_route,
            HttpRefusal: _refused,
            WhenceError: _failed,
            Exception: _crashed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return SecurityHeaders(AccessGuard(app, settings))


def _no_route(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException) or error.status_code not in (404, 405):
        return _crashed(request, error)
    path = request.url.path[:200]
    if error.status_code == 404:
        return _response(
            request,
            NotFoundError(f"there is nothing at {path!a}: see /openapi.json", reason=Reason.UNKNOWN_PATH),
        )
    allowed = (error.headers or {}).get("Allow", "POST")
    unsupported = UnimplementedError(
        f"{request.method[:20]!a} is not a method of {path!a}: use {allowed}", reason=Reason.UNSUPPORTED_METHOD
    )
    return _response(request, unsupported, http_status=405, headers={"Allow": allowed})


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpRefusal)
    return _response(request, error.error, http_status=error.http_status, headers=error.headers)


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, WhenceError)
    return _response(request, error)


def _crashed(request: Request, error: Exception) -> Response:
    """Answer without a word of the exception; uvicorn logs it."""
    return _response(
        request, InternalError("an internal error; the log of this page has its traceback", reason=Reason.INTERNAL)
    )


def _response(
    request: Request, error: WhenceError, *, http_status: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    request_id = getattr(request.state, "request_id", "") or str(uuid.uuid4())
    return statuses.response(
        statuses.of_error(error), http_status=http_status, headers={REQUEST_ID: request_id, **(headers or {})}
    )


def run(server: Server, settings: ExploreSettings, started: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. ``started`` is called with the page's URL.

    Raises ``UnavailableError`` (``ADDRESS_UNAVAILABLE``), and ``InvalidRequestError`` (``INVALID_SETTINGS``) where
    anyone could use what only the user of this machine may.
    """
    asyncio.run(_serve(server, settings, started))


async def _serve(server: Server, settings: ExploreSettings, started: Callable[[str], None]) -> None:
    _check_credentials(server, settings)
    upstream = Upstream(server)
    try:
        if not (settings.is_local or settings.insecure):
            await _require_identities(upstream, settings)
        with _bound(settings) as listening:
            port = listening.getsockname()[1]
            started(f"http://{_shown_host(settings.host)}:{port}/")
            config = uvicorn.Config(
                create_app(upstream, settings),
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                ws="none",
                http="h11",
                lifespan="on",
                timeout_graceful_shutdown=round(settings.grace_s),
            )
            await _Uvicorn(config).serve(sockets=[listening])
    finally:
        await upstream.close()


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal. Uvicorn's own also raises it again once it has stopped, which would be a failure."""
        loop = asyncio.get_running_loop()
        for number in (SIGINT, SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (SIGINT, SIGTERM):
                loop.remove_signal_handler(number)


def _check_credentials(server: Server, settings: ExploreSettings) -> None:
    if server.token is not None and not settings.is_local:
        raise InvalidRequestError(
            f"other machines can reach {settings.address}, and a token of yours would be lent to whoever comes: leave "
            "out --token-file and WHENCE_TOKEN, so that everyone brings a key, or serve at 127.0.0.1",
            reason=Reason.INVALID_SETTINGS,
            field="token",
        )


async def _require_identities(upstream: Upstream, settings: ExploreSettings) -> None:
    asks = await upstream.asks_who_calls()
    if not asks:
        problem = "cannot be reached to say whether it asks" if asks is None else "does not ask"
        raise InvalidRequestError(
            f"other machines can reach {settings.address}, and the server at {upstream.server.target} {problem} who "
            "calls: give it keys (docs/security.md), serve at 127.0.0.1, or say --insecure where the network itself "
            "is trusted",
            reason=Reason.INVALID_SETTINGS,
            field="insecure",
        )


@contextmanager
def _bound(settings: ExploreSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        why = _WHY.get(error.errno or 0) or error.strerror or "the operating system refuses it"
        raise UnavailableError(
            f"the page cannot be served at {settings.address}: {why}", reason=Reason.ADDRESS_UNAVAILABLE
        ) from error
    with listening:
        yield listening


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
