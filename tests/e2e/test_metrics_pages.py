"""The metrics pages of a running service hold every promised family, and the numbers count what happened."""

from __future__ import annotations

import contextlib

import pytest

from e2e.conftest import Service
from e2e.harness import QUERY, Metrics
from whence import InvalidRequestError, Query

BOTH = {
    "whence_rpc_requests", "whence_rpc_duration_seconds", "whence_queue_depth", "whence_queue_running",
    "whence_queue_wait_seconds", "whence_rejections", "whence_stage_duration_seconds", "whence_build_info",
    "whence_rpc_errors", "process_resident_memory_bytes", "process_start_time_seconds",
}  # fmt: skip
FRONT_ALONE = {"whence_workers", "whence_models_served", "whence_models_incomplete", "whence_failovers"}
FRONT = BOTH | FRONT_ALONE
WORKER = BOTH | {
    "whence_batch_tokens", "whence_sequences_scored", "whence_tokens_scored", "whence_cache_operations",
    "whence_cache_duration_seconds", "whence_engine_queue_depth", "whence_engine_job_wait_seconds",
    "whence_artefacts_loaded_info", "whence_engine_info", "whence_device_memory_used_bytes",
}  # fmt: skip
ATTRIBUTE = {"method": "whence.v1.AttributionService/Attribute"}
SCAN = {"method": "whence.worker.v1.WorkerService/Scan"}


def asked(service: Service, query: Query) -> tuple[Metrics, Metrics]:
    """Ask one thing and return both pages after it."""
    with contextlib.suppress(InvalidRequestError):
        service.client.attribute(query)
    return service.front.metrics(), service.worker.metrics()


@pytest.mark.parametrize(("page", "families"), [(0, FRONT), (1, WORKER)], ids=["front end", "worker"])
def test_every_promised_family_is_there(whole: Service, page: int, families: set[str]):
    metrics = asked(whole, QUERY)[page]
    assert families <= metrics.families.keys()


def test_a_worker_does_not_say_how_many_models_are_served(whole: Service):
    """Broken by: an alert on models that fires for every worker."""
    assert FRONT_ALONE.isdisjoint(whole.worker.metrics().families)


def test_every_stage_has_its_latency(whole: Service):
    front, worker = asked(whole, Query.text("the gull ", "never asked before"))
    assert {"queue", "prepare", "scan", "merge", "describe"} <= front.labels("whence_stage_duration_seconds", "stage")
    stages = worker.labels("whence_stage_duration_seconds", "stage")
    assert {"tokenize", "cache_get", "forward_backward", "precondition", "score"} <= stages


def test_calls_are_counted_by_method_and_code(whole: Service):
    before, _ = asked(whole, QUERY)
    asked(whole, QUERY)
    after, _ = asked(whole, Query.tokens([1, 61], 1))
    for code in ("OK", "INVALID_ARGUMENT"):
        for sample in ("whence_rpc_requests_total", "whence_rpc_duration_seconds_count"):
            assert after.value(sample, code=code, **ATTRIBUTE) == before.value(sample, code=code, **ATTRIBUTE) + 1


def test_a_scan_counts_every_sequence_and_token_once(whole: Service):
    _, before = asked(whole, QUERY)
    _, after = asked(whole, QUERY)
    corpus = whole.artefacts.open_corpus()
    grown = {
        name: after.value(name) - before.value(name)
        for name in ("whence_sequences_scored_total", "whence_tokens_scored_total", "whence_batch_tokens_sum")
    }
    assert grown["whence_sequences_scored_total"] == corpus.sequences
    assert grown["whence_tokens_scored_total"] == corpus.tokens <= grown["whence_batch_tokens_sum"]
    assert after.value("whence_rpc_requests_total", **SCAN) == before.value("whence_rpc_requests_total", **SCAN) + 1


def test_a_second_query_is_a_hit_and_a_new_one_a_miss(whole: Service):
    def cache(metrics: Metrics) -> list[float]:
        name = "whence_cache_operations_total"
        return [metrics.value(name, operation="get", outcome=outcome) for outcome in ("hit", "miss")]

    _, before = asked(whole, Query.text("one ", "two"))
    _, after = asked(whole, Query.text("one ", "two"))
    assert cache(after)[0] > cache(before)[0]
    assert cache(after)[1] == cache(before)[1]
    _, other = asked(whole, Query.text("one ", "three"))
    assert cache(other)[1] == cache(after)[1] + 1


def test_the_loaded_artefacts_are_those_of_the_answers(whole: Service):
    provenance = whole.client.attribute(QUERY).provenance
    (sample,) = whole.worker.metrics().families["whence_artefacts_loaded_info"].samples
    assert sample.labels == {
        "model": "tiny", "model_digest": provenance.model_digest,
        "factors_digest": provenance.factors_digest, "corpus_digest": provenance.corpus_digest,
    }  # fmt: skip
    assert whole.worker.metrics().value("whence_device_memory_used_bytes") > 0
