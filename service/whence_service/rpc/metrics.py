"""The Prometheus metrics that front ends and workers share, computed from records. Labels take few, known values.

Calls and waits in the queue take from milliseconds (a cached query on a small corpus) to minutes (a full scan), stages
from tens of microseconds up. The buckets of both grow by about 2.5, so a quantile read from them is right within that
factor.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from whence_service.rpc.records import (
    CallRecord,
    FailoverRecord,
    QueueRecord,
    Record,
    RejectionRecord,
    StageRecord,
    WaitRecord,
    WorkersRecord,
)

CALL_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 150, 300, 600)
STAGE_BUCKETS_S: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, *CALL_BUCKETS_S)


class Metrics:
    """An observer that keeps a process's metrics in ``registry``. A registry has one.

    The metric of each combination of labels is looked up once: the look-up takes as long as the count.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "whence_rpc_requests", "Finished calls.", ["method", "code"], registry=registry
        )  # exposed as whence_rpc_requests_total
        duration = Histogram(
            "whence_rpc_duration_seconds",
            "Duration of finished calls.",
            ["method", "code"],
            registry=registry,
            buckets=CALL_BUCKETS_S,
        )
        self._running = Gauge("whence_queue_running", "Calls that hold a running place.", registry=registry)
        self._waiting = Gauge("whence_queue_depth", "Calls that wait for a running place.", registry=registry)
        self._wait = Histogram(
            "whence_queue_wait_seconds",
            "Time in the queue, however the wait ended.",
            registry=registry,
            buckets=STAGE_BUCKETS_S,
        )
        rejections = Counter(
            "whence_rejections",
            "Calls refused before any work was done for them.",
            ["reason"],
            registry=registry,
        )
        stages = Histogram(
            "whence_stage_duration_seconds",
            "Duration of one stage of one call.",
            ["stage"],
            registry=registry,
            buckets=STAGE_BUCKETS_S,
        )
        workers = Gauge(
            "whence_workers",
            "Workers that the front end knows, by whether they answer.",
            ["state"],
            registry=registry,
        )
        self._models = Gauge("whence_models_served", "Models whose every corpus shard is reachable.", registry=registry)
        self._failovers = Counter(
            "whence_failovers",
            "Workers lost in the middle of a call that went on with other holders of their shards.",
            registry=registry,
        )
        build = Info("whence_build", "The running version.", registry=registry)
        build.info({"version": version("whence")})
        self._requests, self._duration = cache(requests.labels), cache(duration.labels)
        self._rejections, self._stages = cache(rejections.labels), cache(stages.labels)
        self._workers = cache(workers.labels)

    def __call__(self, record: Record) -> None:
        """Count one record."""
        match record:
            case CallRecord():
                labels = (f"{record.service}/{record.method}", record.code)
                self._requests(*labels).inc()
                self._duration(*labels).observe(record.duration_s)
            case QueueRecord():
                self._running.set(record.running)
                self._waiting.set(record.waiting)
            case WaitRecord():
                self._wait.observe(record.wait_s)
            case RejectionRecord():
                self._rejections(record.reason).inc()
            case StageRecord():
                self._stages(record.stage).observe(record.duration_s)
            case WorkersRecord():
                self._workers("reachable").set(record.reachable)
                self._workers("unreachable").set(record.unreachable)
                self._models.set(record.models)
            case FailoverRecord():
                self._failovers.inc()
