"""The worker process: it answers health checks at once, loads, serves, and drains."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from opentelemetry.trace import Tracer

from whence.errors import UnavailableError
from whence.reasons import Reason
from whence.worker.v1 import worker_service_pb2, worker_service_pb2_grpc
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.model.assembly import assemble, make_cache
from whence_backends.worker.model.loading import EngineFactory, load
from whence_backends.worker.model.model_server import ModelServer
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.runtime.metrics import WorkerMetrics
from whence_backends.worker.runtime.records import WorkerObserver, ignore, log_trouble, tee
from whence_backends.worker.serving.frame import CallFrame
from whence_backends.worker.serving.servicer import WorkerServicer
from whence_service.rpc.admission import Admission
from whence_service.rpc.hosting import RpcHost
from whence_service.rpc.http import MetricsServer, start_metrics_server
from whence_service.rpc.interceptors import CallInterceptor
from whence_service.rpc.logging import configure_logging, log_calls
from whence_service.rpc.loop import run_process
from whence_service.rpc.metrics import Metrics, process_registry
from whence_service.rpc.otlp import exporting
from whence_service.rpc.records import tee as tee_calls
from whence_service.rpc.tracing import SILENT

SERVICE: Final = worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name

_log: Final = structlog.get_logger(__name__)


class Worker:
    """A worker, from bind to drain. It is made inside a running event loop.

    State: the model server, ``None`` until it is loaded; whether the worker was closed. Owner: the event loop.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        engine_factory: EngineFactory | None = None,
        observe: WorkerObserver = ignore,
        tracer: Tracer = SILENT,
    ) -> None:
        self.settings = settings
        self.registry = process_registry()
        self._engine_factory = engine_factory
        self._metrics = WorkerMetrics(self.registry)
        self._observe = tee(self._metrics, log_trouble, observe)
        self._thread = EngineThread(observe=self._observe)
        self._metrics.watch_queue(lambda: self._thread.waiting)
        self._cache = make_cache(settings, self._observe)
        calls = tee_calls(Metrics(self.registry), log_calls)
        interceptor = CallInterceptor(calls, settings.bounds, tracer=tracer)
        self._host = RpcHost(settings.host, [interceptor], [SERVICE], calls)
        self._admission = Admission(settings.max_running, settings.max_waiting, calls)
        servicer = WorkerServicer(CallFrame(self._require_model, self._admission, calls))
        worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(servicer, self._host.server)
        self._model: ModelServer | None = None
        self._closed = False
        self._loading: asyncio.Task[None] | None = None
        self._metrics_server: MetricsServer | None = None

    def __repr__(self) -> str:
        state = "loaded" if self._model else "loading"
        return f"Worker({self._host!r}, {state}, {self._thread!r}, {self._cache!r})"

    async def start(self) -> str:
        """Bind, begin to load, and return the bound address. Health is NOT_SERVING until the model is loaded."""
        address = await self._host.start()
        if self.settings.metrics_address:
            self._metrics_server = start_metrics_server(
                self.registry,
                self.settings.metrics_address,
                lambda: self._host.health.readiness,
                loop=asyncio.get_running_loop(),
            )
        self._loading = asyncio.create_task(self._load())
        return address

    async def wait_ready(self) -> None:
        """Return once requests are served, or raise the error of loading."""
        if self._loading is None:
            raise RuntimeError("start() comes first")
        await asyncio.shield(self._loading)

    async def serve_until_signalled(self) -> None:
        """Serve until SIGTERM or SIGINT and drain, or raise the error of loading."""
        signalled = asyncio.create_task(self._host.serve_until_signalled())
        ready = asyncio.create_task(self.wait_ready())
        try:
            done, _ = await asyncio.wait({signalled, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready in done:
                await ready
            await signalled
        finally:
            ready.cancel()
            signalled.cancel()
            await asyncio.gather(ready, signalled, return_exceptions=True)

    async def stop(self) -> None:
        """Drain: refuse new calls, let those in flight finish, then :meth:`close`."""
        await self._host.drain()
        await self.close()

    async def close(self) -> None:
        """Stop at once and release everything. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._host.close()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        if self._model is not None:
            await self._model.close()
        await self._thread.close()
        await self._cache.close()
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.stop)

    async def _load(self) -> None:
        model = await self._thread.run(self._open, stage="load")
        engine, corpus = model.loaded.engine, model.loaded.corpus
        self._metrics.loaded(
            engine.info,
            model=model.description.name,
            corpus_digest=corpus.digest,
            sequences=sum(shard.sequences for shard in corpus.shards),
        )
        self._metrics.watch_memory(engine.device_memory_bytes)
        self._model = model
        self._host.set_serving(SERVICE, True)

    def _open(self) -> ModelServer:
        loaded = load(self.settings, self._engine_factory)
        return assemble(loaded, self.settings, thread=self._thread, cache=self._cache, observe=self._observe)

    def _require_model(self) -> ModelServer:
        if self._model is None:
            raise UnavailableError(
                "this worker is still loading its model; try again once its health is SERVING",
                reason=Reason.MODEL_UNAVAILABLE,
            )
        return self._model


def run(settings: WorkerSettings) -> None:
    """Run a worker until it is signalled. Raises the error of loading."""
    configure_logging(settings.log_format, level=settings.log_level)
    run_process(_run(settings))


async def _run(settings: WorkerSettings) -> None:
    with exporting(settings.tracing, "whence-worker") as tracer:
        worker = Worker(settings, tracer=tracer)
        try:
            await worker.start()
            await worker.serve_until_signalled()
        finally:
            await worker.close()
    _log.info("stopped")
