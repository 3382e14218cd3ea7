"""The Prometheus metrics that front ends and workers share, computed from records. Labels take few, known values.

Calls and waits in the queue take from milliseconds (a cached query on a small corpus) to minutes (a full scan), stages
from tens of microseconds up. The buckets of both grow by about 2.5, so a quantile read from them is right within that
factor.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector

from whence_service.rpc.records import (
    CallRecord,
    CertificateRecord,
    DrainRecord,
    QueueRecord,
    Record,
    RejectionRecord,
    StageRecord,
    WaitRecord,
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
        errors = Counter(
            "whence_rpc_errors",
            "Calls that failed, by the reason of their error.",
            ["method", "reason"],
            registry=registry,
        )
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
        expiry = Gauge(
            "whence_certificate_expiry_timestamp_seconds",
            "When the certificates in use expire, in seconds since the epoch.",
            ["setting"],
            registry=registry,
        )
        reloads = Counter(
            "whence_certificate_reloads",
            "Times that certificates in use were replaced by those of changed files.",
            ["hop"],
            registry=registry,
        )
        rejected = Gauge(
            "whence_certificates_rejected",
            "1 while the files have certificates that cannot be used, so that older ones stay in use.",
            ["hop"],
            registry=registry,
        )
        self._drain = Gauge(
            "whence_drain_end_timestamp_seconds",
            "When calls in flight are cancelled, in seconds since the epoch; 0 while the process does not drain.",
            registry=registry,
        )
        build = Info("whence_build", "The running version.", registry=registry)
        build.info({"version": version("whence")})
        self._requests, self._duration = cache(requests.labels), cache(duration.labels)
        self._errors = cache(errors.labels)
        self._rejections, self._stages = cache(rejections.labels), cache(stages.labels)
        self._expiry, self._reloads, self._rejected = expiry.labels, reloads.labels, rejected.labels

    def __call__(self, record: Record) -> None:
        """Count one record."""
        match record:
            case CallRecord():
                labels = (f"{record.service}/{record.method}", record.code)
                self._requests(*labels).inc()
                exemplar = {"trace_id": record.trace_id} if record.trace_kept else None
                self._duration(*labels).observe(record.duration_s, exemplar)
                if record.reason:
                    self._errors(labels[0], record.reason).inc()
            case QueueRecord():
                self._running.set(record.running)
                self._waiting.set(record.waiting)
            case WaitRecord():
                self._wait.observe(record.wait_s)
            case RejectionRecord():
                self._rejections(record.reason).inc()
            case StageRecord():
                self._stages(record.stage).observe(record.duration_s)
            case CertificateRecord():
                for setting, ends in record.expires_at:
                    self._expiry(setting).set(ends)
                self._reloads(record.hop).inc(int(record.reloaded))
                self._rejected(record.hop).set(int(record.rejected))
            case DrainRecord():
                self._drain.set(record.ends_at)


def process_registry() -> CollectorRegistry:
    """Return a new registry with the usual metrics of this process (memory, CPU, files, Python's version)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
