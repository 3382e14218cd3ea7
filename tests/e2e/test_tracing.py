"""One trace leads from the caller through the front end to every worker, and no collector can hold up a call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_span_id, format_trace_id

from e2e.collector import Collected, Collector, collecting
from e2e.conftest import Service, serve
from e2e.harness import QUERY, Artefacts, Launcher, free_port, until
from whence import Client, InvalidRequestError, Query

FRONT, WORKER = "whence-front-end", "whence-worker"
ATTRIBUTE = "whence.v1.AttributionService/Attribute"
SOON = ("OTEL_BSP_SCHEDULE_DELAY", "50")  # of milliseconds; the SDK's default is five seconds


def traced(launch: Launcher, artefacts: Artefacts, endpoint: str, **settings: str) -> Service:
    """Serve with two workers of one shard each, all of which send their spans to ``endpoint``."""
    names = [shard.name for shard in artefacts.open_corpus().shards]
    given = {"OTLP_ENDPOINT": endpoint, "BATCH_TOKENS": "256", **settings}
    workers = [launch.worker(artefacts, "--shard", name, **given) for name in names]
    return serve(artefacts, workers, [launch.front(*workers, OTLP_ENDPOINT=endpoint, **settings)])


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def service(shared: Launcher, artefacts: Artefacts, collector: Collector) -> Service:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*SOON)
        return traced(shared, artefacts, collector.address)


def trace_of(collector: Collector, trace_id: str) -> list[Collected]:
    """Return the spans of a trace once the front end's own has arrived, which ends last."""
    until(lambda: any(span.name.startswith("whence.v1.") for span in collector.of(trace_id)))
    until(lambda: len({span.process for span in collector.of(trace_id)}) == 2 or None, timeout_s=5)
    time.sleep(0.2)  # the workers' last batches
    return collector.of(trace_id)


def asked_within_a_span(client: Client, query: Query = QUERY) -> tuple[str, str]:
    """Ask inside a span of the caller's, and return the ids of its trace and of the span."""
    with TracerProvider().get_tracer("caller").start_as_current_span("notebook") as span:
        client.attribute(query, request_id="traced")
    context = span.get_span_context()
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


def test_one_trace_has_every_hop_under_its_parent(service: Service, collector: Collector):
    trace_id, caller = asked_within_a_span(service.client)
    spans = trace_of(collector, trace_id)
    by_id = {span.id: span for span in spans}
    (root,) = (span for span in spans if span.parent not in by_id)
    assert (root.name, root.process, root.parent) == (ATTRIBUTE, FRONT, caller)
    served = [span for span in spans if span.process == WORKER and span.name.startswith("whence.worker.v1.")]
    assert sorted(span.name.rpartition("/")[2] for span in served) == [
        "PrepareQueries", "Scan", "Scan", "ScoreSequences", "ScoreSequences",
    ]  # fmt: skip
    for span in served:  # server span ← client span ← stage of the front end ← its server span
        client = by_id[span.parent]
        assert (client.process, client.name) == (FRONT, span.name)
        assert by_id[client.parent].name in ("prepare", "scan", "describe")
        assert by_id[client.parent].parent == root.id
    assert {client.attributes["server.address"] for client in spans if "server.address" in client.attributes} == {
        worker.address for worker in service.workers
    }


def test_the_stages_of_engines_are_spans_of_their_calls(service: Service, collector: Collector):
    trace_id, _ = asked_within_a_span(service.client, Query.text("the gull ", "never traced before"))
    spans = trace_of(collector, trace_id)
    stages = {name: set[str]() for name in ("PrepareQueries", "Scan")}
    by_id = {span.id: span for span in spans}
    for span in spans:
        parent = by_id.get(span.parent)
        if parent is not None and parent.process == WORKER:
            stages.setdefault(parent.name.rpartition("/")[2], set()).add(span.name)
    assert {"tokenize", "cache_get", "engine_wait", "forward_backward"} <= stages["PrepareQueries"]
    assert {"engine_wait", "precondition", "score"} <= stages["Scan"]
    for span in spans:
        assert span.span.start_time_unix_nano <= span.span.end_time_unix_nano
    assert {"prepare", "scan", "merge", "describe"} <= {span.name for span in spans if span.process == FRONT}


def test_a_failed_call_says_why_and_nothing_of_its_text(service: Service, collector: Collector):
    metadata = (("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"),)
    with Client(service.front.address, metadata=metadata, retry=None) as client, pytest.raises(InvalidRequestError):
        client.attribute(prompt="a secret ", completion="text", layers=["nowhere"])
    until(lambda: collector.of("ab" * 16))
    (span,) = (span for span in collector.of("ab" * 16) if span.parent == "cd" * 8)
    assert span.span.status.message == span.attributes["error.type"] != ""
    assert span.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert "secret" not in str(span.span)


def test_logs_and_metrics_lead_to_the_trace(service: Service, collector: Collector):
    trace_id, _ = asked_within_a_span(service.client)

    def logged() -> list[dict[str, Any]]:
        return [line for line in service.front.lines() if line.get("trace_id") == trace_id and line["event"] == "call"]

    (line,) = until(logged)  # a call is logged after its answer is sent
    assert line["request_id"] == "traced"
    until(lambda: any(line.get("trace_id") == trace_id for line in service.worker.lines()))
    assert f'# {{trace_id="{trace_id}"}}' in service.front.page("application/openmetrics-text")
    assert "trace_id" not in service.front.page("text/plain")


def test_polls_of_workers_begin_no_traces(service: Service, collector: Collector):
    time.sleep(1.2)  # two polls
    assert not [span for span in collector.spans if span.name.endswith("/GetInfo")]


def test_a_share_of_nothing_is_not_recorded_but_a_callers_trace_is(
    launch: Launcher, artefacts: Artefacts, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(*SOON)
    with collecting() as collector:
        service = traced(launch, artefacts, collector.address, TRACE_SAMPLING="0")
        service.client.attribute(QUERY)
        trace_id, _ = asked_within_a_span(service.client)
        trace_of(collector, trace_id)
        assert {span.trace_id for span in collector.spans} == {trace_id}


@pytest.mark.parametrize("delay_s", [None, 60.0], ids=["dead", "slow"])
def test_a_collector_that_does_not_answer_holds_up_neither_calls_nor_the_end(
    launch: Launcher, artefacts: Artefacts, delay_s: float | None
):
    with collecting(delay_s=delay_s or 0.0) as collector:
        endpoint = f"http://127.0.0.1:{free_port()}" if delay_s is None else collector.address
        service = traced(launch, artefacts, endpoint)
        for _ in range(3):
            assert service.client.attribute(QUERY).positive
        processes = (*service.fronts, *service.workers)
        for process in processes:
            process.terminate()
        assert [process.exit_code() for process in processes] == [0, 0, 0]
        assert service.front.lines()[-1]["event"] == "stopped"


def test_without_a_collector_the_callers_trace_passes_through_to_the_workers_logs(whole: Service):
    trace_id, _ = asked_within_a_span(whole.client)
    until(lambda: [line for line in whole.worker.lines() if line.get("trace_id") == trace_id])
