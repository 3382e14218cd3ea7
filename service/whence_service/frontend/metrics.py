"""The Prometheus metrics that only a front end has: those of its workers and models."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from whence_service.rpc.records import (
    AuditRecord,
    BegunAnewRecord,
    FailoverRecord,
    QuotaFallbackRecord,
    QuotaRefusalRecord,
    QuotaUseRecord,
    Record,
    WorkersRecord,
)


class FrontEndMetrics:
    """An observer that keeps them in ``registry``. A registry has one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._workers = Gauge(
            "whence_workers", "Workers that the front end knows, by whether they answer.", ["state"], registry=registry
        )
        self._models = Gauge("whence_models_served", "Models whose every corpus shard is reachable.", registry=registry)
        self._incomplete = Gauge(
            "whence_models_incomplete", "Models of which no worker holds some corpus shard.", registry=registry
        )
        self._failovers = Counter(
            "whence_failovers",
            "Workers lost in the middle of a call that went on with other holders of their shards.",
            registry=registry,
        )
        self._begun_anew = Counter(
            "whence_calls_begun_anew",
            "Times that a call began again with other workers, those of a newer generation for example.",
            registry=registry,
        )
        self._quota_used = Counter(
            "whence_quota_used",
            "Calls made, and sequences scored, under quotas.",
            ["tenant", "quota"],
            registry=registry,
        )
        self._quota_refusals = Counter(
            "whence_quota_refusals", "Calls refused because of a quota.", ["tenant", "quota"], registry=registry
        )
        self._audit_lines = Counter(
            "whence_audit_lines", "Lines of the audit log, by what became of them.", ["outcome"], registry=registry
        )
        self._quota_fallbacks = Counter(
            "whence_quota_fallbacks",
            "Calls decided by this front end's share of quotas, because Redis could not be asked.",
            registry=registry,
        )

    def __call__(self, record: Record) -> None:
        """Count one record."""
        match record:
            case WorkersRecord():
                self._workers.labels("reachable").set(record.reachable)
                self._workers.labels("unreachable").set(record.unreachable)
                self._models.set(record.models)
                self._incomplete.set(record.incomplete)
            case FailoverRecord():
                self._failovers.inc()
            case BegunAnewRecord():
                self._begun_anew.inc()
            case QuotaUseRecord():
                self._quota_used.labels(record.tenant, "calls").inc()
                self._quota_used.labels(record.tenant, "sequences").inc(record.sequences)
            case QuotaFallbackRecord():
                self._quota_fallbacks.inc()
            case QuotaRefusalRecord():
                self._quota_refusals.labels(record.tenant, record.quota).inc()
            case AuditRecord():
                self._audit_lines.labels(record.outcome).inc()
