"""The service grpc.health.v1. Services start as NOT_SERVING, and watchers do not delay a shutdown.

The ``HealthServicer`` of grpcio-health-checking starts as SERVING. Its ``Watch`` delays a graceful stop by the whole
grace period. Its shutdown reports the process itself as dead, so that Kubernetes would kill a draining pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from enum import StrEnum
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

LIVENESS: Final = "liveness"
OVERALL: Final = ""

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

_Context = grpc.aio.ServicerContext[Any, Any]


class Readiness(StrEnum):
    """The readiness of a process for requests."""

    STARTING = "starting"
    SERVING = "serving"
    NOT_SERVING = "not serving"
    DRAINING = "draining"


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # published without types
    """Answers health checks. The name ``""`` is SERVING while every service is; ``liveness`` always is."""

    def __init__(self, services: Iterable[str]) -> None:
        # State: _serving, _served (whether all services ever were SERVING), _draining, _closed and the events of the
        # watchers. Owner: the event loop. No method that changes them awaits, so every reader sees a consistent state.
        self._serving = dict.fromkeys(services, False)
        self._draining = False
        self._served = False
        self._closed = False
        self._watchers: set[asyncio.Event] = set()

    def __repr__(self) -> str:
        serving = sorted(name for name, serves in self._serving.items() if serves)
        return f"<HealthService serving={serving} draining={self._draining}>"

    def set_serving(self, service: str, serving: bool) -> None:
        """Set one service's status; ignored after :meth:`drain`. ``KeyError`` for an unknown service."""
        if service not in self._serving:
            raise KeyError(service)
        self._serving[service] = serving and not self._draining
        self._served |= all(self._serving.values())
        self._wake()

    @property
    def readiness(self) -> Readiness:
        """The readiness of the whole process, which any thread may read."""
        if self._draining:
            return Readiness.DRAINING
        if all(self._serving.values()):
            return Readiness.SERVING
        return Readiness.NOT_SERVING if self._served else Readiness.STARTING

    def is_serving(self, service: str) -> bool:
        """Return true if the service is reported as SERVING."""
        return bool(self._status(service) == _SERVING)

    def drain(self) -> None:
        """Report every service as NOT_SERVING from now on."""
        self._draining = True
        self._serving = dict.fromkeys(self._serving, False)
        self._wake()

    def close(self) -> None:
        """End every watch, so that a graceful stop does not wait for them."""
        self._closed = True
        self._wake()

    async def Check(  # noqa: N802 - the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> health_pb2.HealthCheckResponse:
        """Answer with the status of one name; NOT_FOUND for a name that is not served here."""
        status = self._status(request.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service!r}")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802 - the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Answer with the status of one name now and at every change, until the server stops."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        last = None
        try:
            while True:
                status = self._status(request.service)
                if status != last:
                    yield health_pb2.HealthCheckResponse(status=status)
                    last = status
                    continue  # the status may have changed while the answer was sent
                if self._closed:
                    return
                await changed.wait()
                changed.clear()
        finally:
            self._watchers.discard(changed)

    def _status(self, service: str) -> int:
        if service == LIVENESS:
            return int(_SERVING)
        if service == OVERALL:
            return int(_SERVING if all(self._serving.values()) else _NOT_SERVING)
        if service not in self._serving:
            return int(_UNKNOWN)
        return int(_SERVING if self._serving[service] else _NOT_SERVING)

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()
