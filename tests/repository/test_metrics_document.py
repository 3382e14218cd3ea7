"""docs/metrics.md says what the registries hold: no family more, none less, with their types, labels and buckets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from whence_backends.contract import EngineInfo
from whence_backends.worker.runtime import metrics as worker_metrics
from whence_backends.worker.runtime.records import BatchRecord, CacheOutcome, CacheRecord, JobRecord, SearchRecord
from whence_service.frontend.metrics import FrontEndMetrics
from whence_service.rpc import metrics as rpc_metrics
from whence_service.rpc.records import (
    AuditRecord,
    CallRecord,
    CertificateRecord,
    QueueRecord,
    QuotaFallbackRecord,
    QuotaRefusalRecord,
    QuotaUseRecord,
    RejectionRecord,
    StageRecord,
    WaitRecord,
    WorkersRecord,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
BUCKETS = {
    "calls": rpc_metrics.CALL_BUCKETS_S,
    "stages": rpc_metrics.STAGE_BUCKETS_S,
    "searches": worker_metrics._SEARCH_QUERY_BUCKETS,
    "tokens": worker_metrics._BATCH_TOKEN_BUCKETS,
}


def filled_registry() -> CollectorRegistry:
    """Return a registry with every family of front end and worker, each with a sample of its labels."""
    registry = CollectorRegistry()
    observe, observe_front = rpc_metrics.Metrics(registry), FrontEndMetrics(registry)
    observe_worker = worker_metrics.WorkerMetrics(registry)
    observe(
        CallRecord(service="s", method="m", code="NOT_FOUND", duration_s=1, request_id="r", reason="MODEL_NOT_FOUND")
    )
    observe(QueueRecord(running=0, waiting=0))
    observe(WaitRecord(wait_s=0))
    observe(RejectionRecord(reason="QUEUE_FULL"))
    observe(StageRecord(stage="queue", duration_s=0))
    observe_front(AuditRecord(outcome="written"))
    observe_front(WorkersRecord(reachable=1, unreachable=0, models=1, incomplete=0))
    observe_front(QuotaUseRecord(tenant="other", sequences=1))
    observe_front(QuotaFallbackRecord())
    observe_front(QuotaRefusalRecord(tenant="other", quota="calls"))
    observe(CertificateRecord(hop="server", expires_at=(("tls_certificate", 1.0),), reloaded=True, rejected=False))
    observe_worker(CacheRecord(layer="redis", operation="get", outcome=CacheOutcome.HIT, key="k"))
    observe_worker(JobRecord(stage="score", wait_s=0, duration_s=0))
    observe_worker(BatchRecord(sequences=1, tokens=1, padded_tokens=1, queries=1))
    observe_worker(SearchRecord(searches=1, queries=1, sequences=1, duration_s=0))
    observe_worker.watch_queue(lambda: 0)
    observe_worker.watch_memory(lambda: 0)
    info = EngineInfo(
        engine="fake", precision="float64", device="cpu", layers=(), max_tokens=1, vocabulary_size=1, parameters=1,
        model_digest="", factors_digest="",
    )  # fmt: skip
    observe_worker.loaded(info, model="m", corpus_digest="", sequences=1)
    return registry


@pytest.fixture(scope="module")
def families() -> dict[str, Metric]:
    suffixes = {"counter": "_total", "info": "_info"}
    return {family.name + suffixes.get(family.type, ""): family for family in filled_registry().collect()}


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[str, str]]:
    """Return the type and the labels of each family in the document."""
    rows = re.findall(r"^\| `(whence_\w+)` \| ([^|]+) \| ([^|]+) \|", DOCUMENT.read_text(), re.M)
    return {name: (kind.strip(), labels.strip()) for name, kind, labels in rows}


def test_every_family_is_documented_and_no_other(families, documented):
    assert set(documented) == set(families)


def test_types_and_labels_are_the_registrys(families, documented):
    for name, family in families.items():
        kind, labels = documented[name]
        assert kind.split()[0] == family.type, name
        used = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert set(re.findall(r"\w+", labels)) == used, name


def test_each_histogram_names_its_buckets(families, documented):
    histograms = {name: family for name, family in families.items() if family.type == "histogram"}
    for name, family in histograms.items():
        bounds = [float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels]
        named = re.search(r"\((\w+)\)", documented[name][0])
        assert named, name
        assert sorted(set(bounds))[:-1] == list(BUCKETS[named[1]]), name


def test_the_buckets_are_written_out():
    text = " ".join(DOCUMENT.read_text().split())
    assert f"- calls: {', '.join(map(str, BUCKETS['calls']))} seconds" in text
    assert f"- tokens: {', '.join(map(str, BUCKETS['tokens']))}." in text
    assert BUCKETS["stages"][-len(BUCKETS["calls"]) :] == BUCKETS["calls"]
    finest = BUCKETS["stages"][: -len(BUCKETS["calls"])]
    written = re.search(r"- stages: ([^a-z]+), and then", text)
    assert written
    assert tuple(map(float, written[1].split(", "))) == finest
