"""The Prometheus metrics of a worker, computed from its records. Labels take few, known values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from whence_backends.contract import EngineInfo
from whence_backends.worker.runtime.records import BatchRecord, CacheRecord, JobRecord, SearchRecord, WorkerRecord
from whence_service.rpc.metrics import STAGE_BUCKETS_S

_BATCH_TOKEN_BUCKETS = (64, 256, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_SEARCH_QUERY_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class WorkerMetrics:
    """An observer that keeps a worker's metrics in ``registry``. A registry has one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        operations = Counter(
            "whence_cache_operations",
            "Operations on the gradient cache, by layer and outcome.",
            ["layer", "operation", "outcome"],
            registry=registry,
        )
        operation_seconds = Histogram(
            "whence_cache_duration_seconds",
            "Duration of operations on the shared gradient cache.",
            ["operation"],
            registry=registry,
            buckets=STAGE_BUCKETS_S,
        )
        job_seconds = Histogram(
            "whence_engine_job_duration_seconds",
            "Running time of one job of the engine's thread.",
            ["stage"],
            registry=registry,
            buckets=STAGE_BUCKETS_S,
        )
        self._job_wait = Histogram(
            "whence_engine_job_wait_seconds",
            "Time that a job waited for the engine's thread.",
            registry=registry,
            buckets=STAGE_BUCKETS_S,
        )
        self._batch_tokens = Histogram(
            "whence_batch_tokens",
            "Tokens in one batch of training sequences, padding included.",
            registry=registry,
            buckets=_BATCH_TOKEN_BUCKETS,
        )
        self._search_seconds = Histogram(
            "whence_search_pass_duration_seconds",
            "Duration of one pass over the codes of the index.",
            registry=registry,
            buckets=STAGE_BUCKETS_S,
        )
        self._search_queries = Histogram(
            "whence_search_pass_queries",
            "Queries that shared one pass over the codes of the index.",
            registry=registry,
            buckets=_SEARCH_QUERY_BUCKETS,
        )
        self._searched = Counter(
            "whence_sequences_searched", "Training sequences compared with the index.", registry=registry
        )
        self._sequences = Counter("whence_sequences_scored", "Training sequences scored.", registry=registry)
        self._tokens = Counter("whence_tokens_scored", "Tokens of the sequences scored.", registry=registry)
        self._operations, self._operation_seconds = cache(operations.labels), cache(operation_seconds.labels)
        self._job_seconds = cache(job_seconds.labels)

    def __call__(self, record: WorkerRecord) -> None:
        """Count one record."""
        match record:
            case CacheRecord():
                self._operations(record.layer, record.operation, record.outcome.value).inc()
                if record.layer == "redis":
                    self._operation_seconds(record.operation).observe(record.duration_s)
            case JobRecord():
                self._job_seconds(record.stage).observe(record.duration_s)
                self._job_wait.observe(record.wait_s)
            case BatchRecord():
                self._batch_tokens.observe(record.padded_tokens)
                self._sequences.inc(record.sequences)
                self._tokens.inc(record.tokens)
            case SearchRecord():
                self._search_seconds.observe(record.duration_s)
                self._search_queries.observe(record.queries)
                self._searched.inc(record.sequences)

    def watch_queue(self, waiting: Callable[[], float]) -> None:
        """Expose the number of callers that wait for the engine's thread. ``waiting`` is called at each scrape."""
        gauge = Gauge(
            "whence_engine_queue_depth", "Callers that wait for the engine's thread.", registry=self._registry
        )
        gauge.set_function(waiting)

    def watch_memory(self, used_bytes: Callable[[], float]) -> None:
        """Expose the device memory in use. ``used_bytes`` is called at each scrape."""
        gauge = Gauge("whence_device_memory_used_bytes", "Device memory in use.", registry=self._registry)
        gauge.set_function(used_bytes)

    def loaded(self, engine: EngineInfo, *, model: str, corpus_digest: str, sequences: int) -> None:
        """Expose the engine and the artefacts, once they are loaded."""
        Info("whence_engine", "The engine.", registry=self._registry).info(
            {"engine": engine.engine, "precision": engine.precision, "device": engine.device}
        )
        Info("whence_artefacts_loaded", "The artefacts that answers come from.", registry=self._registry).info(
            {
                "model": model,
                "model_digest": engine.model_digest,
                "factors_digest": engine.factors_digest,
                "corpus_digest": corpus_digest,
            }
        )
        held = Gauge("whence_sequences_held", "Training sequences that this worker holds.", registry=self._registry)
        held.set(sequences)
