"""The composition root of the front end: its parts are made and connected here."""

from __future__ import annotations

import asyncio
import math
from typing import Final

import structlog
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from whence.v1 import attribution_service_pb2_grpc
from whence_service.access.assembly import build_gate
from whence_service.audit.log import open_audit
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.metrics import FrontEndMetrics
from whence_service.frontend.servicer import SERVICE, AttributionServicer
from whence_service.frontend.workers.channels import WorkerChannels
from whence_service.frontend.workers.placement import Placement
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.quotas.assembly import build_quotas
from whence_service.quotas.quotas import Quotas
from whence_service.rpc.admission import Admission
from whence_service.rpc.audit import Audit
from whence_service.rpc.hosting import RpcHost, termination
from whence_service.rpc.http import MetricsServer, start_metrics_server
from whence_service.rpc.interceptors import CallInterceptor
from whence_service.rpc.logging import configure_logging, log_calls
from whence_service.rpc.metrics import Metrics, process_registry
from whence_service.rpc.otlp import exporting
from whence_service.rpc.records import Observer, tee
from whence_service.rpc.tls import CertificateWatch
from whence_service.rpc.tracing import SILENT

PROCESS: Final = "whence-front-end"

_log: Final = structlog.get_logger(__name__)


class FrontEnd:
    """One front end: :meth:`start`, then :meth:`serve_until_signalled` or, later, :meth:`stop`.

    It is ready (health says SERVING for ``whence.v1.AttributionService``) while at least one model has a
    reachable worker for every shard.
    """

    def __init__(
        self,
        settings: FrontEndSettings,
        *,
        host: RpcHost,
        pool: WorkerPool,
        quotas: Quotas,
        admission: Admission,
        registry: CollectorRegistry,
        audit: Audit,
    ) -> None:
        self.settings = settings
        self.host = host
        self.pool = pool
        self.quotas = quotas
        self.admission = admission
        self._registry = registry
        self._audit = audit
        self._metrics_server: MetricsServer | None = None

    def __repr__(self) -> str:
        return f"<FrontEnd {self.host!r} {self.pool!r} {self.admission!r}>"

    @property
    def metrics_address(self) -> str:
        """The address of the metrics; empty if they are not served."""
        return self._metrics_server.address if self._metrics_server is not None else ""

    async def start(self) -> str:
        """Serve, connect to the workers and return the bound address. Workers may become available later."""
        if self.settings.metrics_address:
            self._metrics_server = start_metrics_server(
                self._registry,
                self.settings.metrics_address,
                lambda: self.host.health.readiness,
                loop=asyncio.get_running_loop(),
            )
        address = await self.host.start()
        await self.pool.start()
        return address

    async def serve_until_signalled(self) -> None:
        """Serve until SIGTERM or SIGINT, drain, and release everything."""
        try:
            await self.host.serve_until_signalled()
        finally:
            await self._release()

    async def stop(self) -> None:
        """Drain and release everything."""
        await self.host.drain()
        await self._release()

    async def _release(self) -> None:
        await self.pool.stop()
        await self.quotas.close()
        await self._audit.close()
        if self._metrics_server is not None:
            self._metrics_server.stop()
            self._metrics_server = None


async def build_front_end(settings: FrontEndSettings, registry: CollectorRegistry, tracer: Tracer = SILENT) -> FrontEnd:
    """Return a front end that is ready to start, with its metrics in ``registry`` and its spans in ``tracer``."""
    observe = tee(Metrics(registry), FrontEndMetrics(registry), log_calls)
    audit = open_audit(settings.audit, observe)
    interceptor = CallInterceptor(observe, settings.bounds, build_gate(settings), tracer, audit)
    host = RpcHost(settings.host, [interceptor], [SERVICE], observe)

    def update_readiness(placement: Placement) -> None:
        host.set_serving(SERVICE, bool(placement.served))

    pool = WorkerPool(
        settings.workers,
        refresh_s=settings.refresh_s,
        probe_timeout_s=settings.probe_timeout_s,
        channels=_worker_channels(settings, observe),
        on_change=update_readiness,
        observe=observe,
    )
    admission = Admission(
        settings.max_running, settings.max_waiting, observe, max_wait_s=settings.max_wait_s or math.inf
    )
    quotas = build_quotas(settings.quotas, observe)
    servicer = AttributionServicer(settings, pool, quotas, admission, observe)
    attribution_service_pb2_grpc.add_AttributionServiceServicer_to_server(servicer, host.server)
    return FrontEnd(settings, host=host, pool=pool, quotas=quotas, admission=admission, registry=registry, audit=audit)


def _worker_channels(settings: FrontEndSettings, observe: Observer) -> WorkerChannels:
    files = settings.workers_tls
    return WorkerChannels(
        max_message_bytes=settings.max_message_bytes,
        refresh_s=settings.refresh_s,
        tls=None if files is None else CertificateWatch(files, observe),
        tls_name=settings.workers_tls_name,
    )


async def run(settings: FrontEndSettings) -> None:
    """Run a front end as this process until a signal."""
    configure_logging(settings.log_format, level=settings.log_level)
    with exporting(settings.tracing, PROCESS) as tracer:
        front_end = await build_front_end(settings, process_registry(), tracer)
        with termination() as signalled:  # from the first call on, so that none is cut off
            await front_end.start()
            await front_end.host.serve_until(signalled)
        await front_end.stop()
    _log.info("stopped")
