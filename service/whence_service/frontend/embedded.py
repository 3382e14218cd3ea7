"""Front end and worker in one process, over a private unix socket: for notebooks and small models.

The front end is the usual one; only here does its process import the dependencies of the worker's engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.server import FrontEnd, build_front_end
from whence_service.rpc.logging import configure_logging
from whence_service.rpc.metrics import process_registry
from whence_service.rpc.otlp import exporting
from whence_service.rpc.tracing import SILENT

if TYPE_CHECKING:
    from whence_backends.worker.config import WorkerSettings


@asynccontextmanager
async def embedded(
    front: FrontEndSettings,
    worker: WorkerSettings,
    registry: CollectorRegistry | None = None,
    tracer: Tracer = SILENT,
) -> AsyncIterator[FrontEnd]:
    """Run both for the duration of the ``async with``. The front end is yielded before it is started."""
    from whence_backends.worker.serving.server import Worker

    with tempfile.TemporaryDirectory(prefix="whence-") as folder:
        # The worker has no other clients, so there is no load balancer to wait for when it stops.
        update = {"address": f"unix:{folder}/worker.sock", "drain_s": 0.0, "tls_certificate": None}
        running = Worker(worker.model_copy(update=update), tracer=tracer)
        try:
            address = await running.start()
            await running.wait_ready()
            settings = front.model_copy(update={"workers": (address,)})
            yield await build_front_end(settings, registry or process_registry(), tracer)
        finally:
            await running.stop()


async def run_embedded(front: FrontEndSettings, worker: WorkerSettings) -> None:
    """Run both as this process until a signal. The front end drains before the worker does."""
    configure_logging(front.log_format, level=front.log_level)
    with exporting(front.tracing, "whence") as tracer:
        async with embedded(front, worker, tracer=tracer) as front_end:
            await front_end.start()
            await front_end.serve_until_signalled()
