"""What a process of ours serves over HTTP beside gRPC: ``/metrics`` for Prometheus, ``/healthz`` for load balancers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

from whence.errors import UnavailableError
from whence.reasons import Reason
from whence_service.rpc.addresses import host_and_port, why_not_bound
from whence_service.rpc.health import Readiness

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, kw_only=True)
class MetricsServer:
    """A running server of ``/metrics`` and ``/healthz``."""

    address: str
    _server: WSGIServer = field(repr=False)
    _thread: threading.Thread = field(repr=False)

    def stop(self) -> None:
        """Close the socket and wait for the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def start_metrics_server(
    registry: CollectorRegistry, address: str, readiness: Callable[[], Readiness]
) -> MetricsServer:
    """Serve ``registry`` and readiness over HTTP at ``host:port`` (port 0 picks one) from a thread of its own.

    ``/healthz`` answers 200 while the process is ready for requests, else 503, and which of the four it is as JSON.
    Raises :class:`~whence.errors.UnavailableError` (``ADDRESS_UNAVAILABLE``) where the address cannot be bound.
    """
    try:
        host, port = host_and_port(address)
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, ValueError) as error:
        message = f"cannot bind the metrics address {address}: {why_not_bound(address)}"
        raise UnavailableError(message, reason=Reason.ADDRESS_UNAVAILABLE, address=address) from error
    server.set_app(_with_health(make_wsgi_app(registry), readiness))
    bound: Any = server.server_address
    return MetricsServer(address=f"{address.rpartition(':')[0]}:{bound[1]}", _server=server, _thread=thread)


def _with_health(metrics: WSGIApplication, readiness: Callable[[], Readiness]) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/healthz":
            return metrics(environ, start_response)
        state = readiness()
        status = "200 OK" if state is Readiness.SERVING else "503 Service Unavailable"
        start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [json.dumps({"status": state.value}).encode() + b"\n"]

    return answer
