"""Metrics, as Prometheus scrapes them."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from whence.v1 import attribution_service_pb2
from whence_service.rpc.metrics import Metrics


def scrape(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
async def scraped(start_front, worker, ask, failure_of):
    """What is scraped after one good call and one bad one."""
    front = await start_front(worker, metrics_address="127.0.0.1:0")
    await front.stub.Attribute(attribution_service_pb2.AttributeRequest(query=ask()))
    await failure_of(front.stub.Attribute(attribution_service_pb2.AttributeRequest()))
    await front.health()
    return scrape(front.front.metrics_address)


def test_calls_are_counted_by_method_and_code(scraped):
    method = ("method", "whence.v1.AttributionService/Attribute")
    assert scraped["whence_rpc_requests_total", ("code", "OK"), method] == 1
    assert scraped["whence_rpc_requests_total", ("code", "INVALID_ARGUMENT"), method] == 1
    assert scraped["whence_rpc_duration_seconds_count", ("code", "OK"), method] == 1


def test_failures_are_counted_by_reason_and_nothing_else_is(scraped):
    method = ("method", "whence.v1.AttributionService/Attribute")
    failures = {key: value for key, value in scraped.items() if key[0] == "whence_rpc_errors_total"}
    assert failures == {("whence_rpc_errors_total", method, ("reason", "MISSING_QUERY_INPUT")): 1}


def test_health_checks_are_not_counted(scraped):
    assert not [key for key in scraped if "Health" in str(key)]


def test_queue_stages_workers_and_build_are_shown(scraped):
    assert scraped["whence_queue_depth",] == 0
    assert scraped["whence_queue_running",] == 0
    assert scraped["whence_queue_wait_seconds_count",] == 1
    assert scraped["whence_stage_duration_seconds_count", ("stage", "prepare")] == 1
    assert scraped["whence_workers", ("state", "reachable")] == 1
    assert scraped["whence_models_served",] == 1
    assert scraped["whence_models_incomplete",] == 0
    assert [value for key, value in scraped.items() if key[0] == "whence_build_info"] == [1]


def test_every_metric_of_ours_has_the_prefix_and_a_base_unit():
    registry = CollectorRegistry()
    Metrics(registry)
    names = [family.name for family in registry.collect()]
    assert all(name.startswith("whence_") for name in names)
    assert not [name for name in names if name.endswith(("_ms", "_us", "_milliseconds"))]


def test_two_registries_do_not_share_anything():
    Metrics(CollectorRegistry())
    Metrics(CollectorRegistry())


async def test_rejections_are_counted_by_reason(start_front, worker, ask, failure_of):
    front = await start_front(worker, metrics_address="127.0.0.1:0", max_running=1, max_waiting=0)
    async with front.front.admission.slot():
        await failure_of(front.stub.Attribute(attribution_service_pb2.AttributeRequest(query=ask())))
    scraped = scrape(front.front.metrics_address)
    assert scraped["whence_rejections_total", ("reason", "QUEUE_FULL")] == 1
