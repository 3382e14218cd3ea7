"""The composition root of the page's process: its parts are made and connected here."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from signal import SIGINT, SIGTERM
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from whence import __version__
from whence.errors import UnavailableError
from whence.explore import failures, identities, logs, reports, static
from whence.explore.access import AccessGuard
from whence.explore.api import openapi, routes
from whence.explore.beginning import EMPTY, Beginning
from whence.explore.connections import BoundedConnection
from whence.explore.headers import SecurityHeaders
from whence.explore.identities import ServerCheck
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Server, Upstream
from whence.explore.violations import Violations
from whence.reasons import Reason

_log: Final = logging.getLogger(__name__)
_SIGNALS: Final = (SIGINT, SIGTERM)
_WHY: Final = {
    errno.EADDRINUSE: "another process listens there: choose another port with --port, or any free one with --port 0",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one of its own, such as 127.0.0.1",
    errno.EACCES: "this user may not: choose a port from 1024 up",
}


def create_app(upstream: Upstream, settings: ExploreSettings, beginning: Beginning = EMPTY) -> ASGIApp:
    """Return the application: the page, the API, and what guards them. ``beginning`` is where the page begins."""
    violations = Violations()

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok", "cspViolations": violations.count})

    async def page_settings(_: Request) -> Response:
        needs_token = bool(await upstream.asks_who_calls())
        about = {"server": upstream.server.target, "needsToken": needs_token, "version": __version__}
        return JSONResponse({**about, **beginning.to_json()})

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            openapi.ROUTE,
            violations.route,
            Route("/page/settings.json", page_settings),
            reports.route(settings),
            *static.routes(),
            *routes.routes(upstream, ServerCheck(upstream, settings), settings),
        ],
        exception_handlers=failures.handlers(),
    )
    app.router.redirect_slashes = False
    return logs.RequestLog(SecurityHeaders(AccessGuard(app, settings)))


def run(
    server: Server,
    settings: ExploreSettings,
    started: Callable[[str], None],
    beginning: Beginning = EMPTY,
) -> None:
    """Serve until SIGINT or SIGTERM. ``started`` is called with the page's URL.

    Raises ``UnavailableError`` (``ADDRESS_UNAVAILABLE``), and ``InvalidRequestError`` (``INVALID_SETTINGS``) where
    anyone could use what only the user of this machine may.
    """
    identities.check_own(server, settings)
    logs.configure(settings.log_level)
    with _listening(settings) as listener:
        asyncio.run(_serve(server, settings, listener, started, beginning))


async def _serve(
    server: Server,
    settings: ExploreSettings,
    listener: socket.socket,
    started: Callable[[str], None],
    beginning: Beginning,
) -> None:
    upstream = Upstream(server)
    try:
        # A server that is not there yet is asked again, before the first call of anyone.
        with suppress(UnavailableError):
            await ServerCheck(upstream, settings).require()
        if not settings.is_local:
            _log.warning("keys arrive unencrypted unless something before this process ends TLS")
        host, port = settings.host, listener.getsockname()[1]
        started(f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/")
        await PageServer(upstream, settings, beginning).serve(sockets=[listener])
    finally:
        await upstream.close()


class PageServer(uvicorn.Server):
    """Uvicorn, stopped by a signal: calls in flight have ``grace_s`` seconds, then they fail as unavailable."""

    def __init__(self, upstream: Upstream, settings: ExploreSettings, beginning: Beginning = EMPTY) -> None:
        config = uvicorn.Config(
            create_app(upstream, settings, beginning),
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=round(settings.grace_s) + 2,
        )
        super().__init__(config)
        self._upstream = upstream
        self._grace_s = settings.grace_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to listen, and end what is under way."""
        await asyncio.gather(self._upstream.close(self._grace_s), super().shutdown(sockets))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal. Uvicorn's own raises it again once it has stopped, and the command would fail."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


@contextmanager
def _listening(settings: ExploreSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        why = _WHY.get(error.errno or 0) or error.strerror or "the operating system refuses it"
        raise UnavailableError(
            f"the page cannot be served at {settings.address}: {why}", reason=Reason.ADDRESS_UNAVAILABLE
        ) from error
    with listener:
        yield listener
