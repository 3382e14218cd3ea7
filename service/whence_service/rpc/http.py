"""What a process of ours serves over HTTP beside gRPC: ``/metrics`` for Prometheus, health for those without gRPC.

Kubernetes' gRPC probes speak no TLS. Where gRPC is served over TLS, they ask ``/livez`` and ``/healthz`` instead.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

from whence.errors import UnavailableError
from whence.reasons import Reason
from whence_service.rpc.addresses import host_and_port, why_not_bound
from whence_service.rpc.health import Readiness

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# An event loop that runs nothing for so long answers no call either.
_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class MetricsServer:
    """A running server of ``/metrics``, ``/healthz`` and ``/livez``."""

    address: str
    _server: WSGIServer = field(repr=False)
    _thread: threading.Thread = field(repr=False)

    def stop(self) -> None:
        """Close the socket and wait for the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def start_metrics_server(
    registry: CollectorRegistry,
    address: str,
    readiness: Callable[[], Readiness],
    *,
    loop: asyncio.AbstractEventLoop | None = None,
) -> MetricsServer:
    """Serve ``registry`` and readiness over HTTP at ``host:port`` (port 0 picks one) from a thread of its own.

    ``/healthz`` answers 200 while the process is ready for requests, else 503, and which of the four it is as JSON.
    ``/livez`` answers 200 while the event loop ``loop`` runs what it is given, else 503.
    Raises :class:`~whence.errors.UnavailableError` (``ADDRESS_UNAVAILABLE``) where the address cannot be bound.
    """
    try:
        host, port = host_and_port(address)
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, ValueError) as error:
        message = f"cannot bind the metrics address {address}: {why_not_bound(address)}"
        raise UnavailableError(message, reason=Reason.ADDRESS_UNAVAILABLE, address=address) from error
    server.set_app(_with_health(make_wsgi_app(registry), readiness, lambda: loop is None or _turns(loop)))
    bound: Any = server.server_address
    return MetricsServer(address=f"{address.rpartition(':')[0]}:{bound[1]}", _server=server, _thread=thread)


def _with_health(
    metrics: WSGIApplication, readiness: Callable[[], Readiness], alive: Callable[[], bool]
) -> WSGIApplication:
    def healthz() -> tuple[bool, str]:
        state = readiness()
        return state is Readiness.SERVING, state.value

    def livez() -> tuple[bool, str]:
        return (True, "alive") if alive() else (False, "stuck")

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        check = {"/healthz": healthz, "/livez": livez}.get(environ.get("PATH_INFO", ""))
        if check is None:
            return metrics(environ, start_response)
        well, state = check()
        status = "200 OK" if well else "503 Service Unavailable"
        start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [json.dumps({"status": state}).encode() + b"\n"]

    return answer


def _turns(loop: asyncio.AbstractEventLoop) -> bool:
    """Return true if the event loop, which another thread runs, soon does what it is asked to."""
    turned = threading.Event()
    try:
        loop.call_soon_threadsafe(turned.set)
    except RuntimeError:  # closed
        return False
    return turned.wait(_PATIENCE_S)
