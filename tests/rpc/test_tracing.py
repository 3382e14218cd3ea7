"""The spans of one call: which there are, under which parent, and how many at most."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from whence.errors import DeadlineError, UnavailableError, UnimplementedError
from whence_service.rpc import tracing
from whence_service.rpc.admission import Admission
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.otlp import TracingSettings, exporting
from whence_service.rpc.stages import Stopwatch
from whence_service.rpc.tracing import MOST_SPANS_OF_A_STAGE, SILENT, SharedTrace, current_trace

PATH = "/test.Service/Method"
CALLER = (("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"),)


@pytest.fixture
def spans():
    """A list of the finished spans, and the tracer that makes them."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def finished():
        return {span.name: span for span in exporter.get_finished_spans()}

    finished.tracer, finished.all = provider.get_tracer("test"), exporter.get_finished_spans
    return finished


def ended(trace):
    trace.end("OK", "", "r1")


async def test_stages_lie_in_their_call_and_in_each_other(spans):
    trace = tracing.enter(spans.tracer, PATH, ())
    watch = Stopwatch(trace=trace)
    with watch.stage("outer"), watch.stage("inner"):
        watch.add("measured elsewhere", 0.5)
    ended(trace)
    call, outer = spans()["test.Service/Method"], spans()["outer"]
    assert outer.parent.span_id == call.context.span_id
    assert spans()["inner"].parent.span_id == outer.context.span_id
    lap = spans()["measured elsewhere"]
    assert lap.parent.span_id == call.context.span_id
    assert lap.end_time - lap.start_time == pytest.approx(5e8, rel=1e-3)
    assert call.attributes["whence.request_id"] == "r1"


async def test_tasks_begun_in_a_stage_call_on_its_behalf(spans):
    trace = tracing.enter(spans.tracer, PATH, CALLER)
    stage = Stopwatch(trace=trace).stage("scan")

    async def call():
        with current_trace().calling("s", "m", "host:1") as headers:
            return dict(headers)["traceparent"]

    with stage.current():
        task = asyncio.create_task(call())
    header = await task
    stage.end()
    sent = spans()["s/m"]
    assert header == f"00-{'ab' * 16}-{sent.context.span_id:016x}-01"
    assert sent.parent.span_id == spans()["scan"].context.span_id
    assert trace.trace_id == "ab" * 16


async def test_a_failed_call_to_another_process_has_its_reason_and_no_message(spans):
    trace = tracing.enter(spans.tracer, PATH, ())
    with pytest.raises(UnavailableError), trace.calling("s", "m", "host:1"):
        raise UnavailableError("a secret text", reason="WORKER_UNAVAILABLE")
    (span,) = spans.all()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "WORKER_UNAVAILABLE")
    assert "secret" not in span.to_json()


async def test_the_laps_of_a_long_scan_share_a_span_once_there_are_many(spans):
    trace = tracing.enter(spans.tracer, PATH, ())
    watch = Stopwatch(trace=trace)
    for _ in range(MOST_SPANS_OF_A_STAGE + 10):
        watch.add("score", 0.001)
        with watch.stage("merge"):
            pass
    ended(trace)
    assert len(spans.all()) == 2 * (MOST_SPANS_OF_A_STAGE + 1) + 1
    assert spans()["score"].attributes["whence.laps"] == 10
    assert spans()["score"].attributes["whence.busy_s"] == pytest.approx(0.01)
    assert spans()["merge"].attributes["whence.laps"] == 10


async def test_a_batch_that_calls_share_is_in_the_traces_of_all(spans):
    contexts = [(("traceparent", f"00-{caller * 32}-{'cd' * 8}-01"),) for caller in "12"]
    traces = [tracing.enter(spans.tracer, PATH, context) for context in contexts]
    watch = Stopwatch(trace=SharedTrace(traces))
    with watch.stage("score"):
        pass
    assert sorted(f"{span.context.trace_id:x}" for span in spans.all()) == ["1" * 32, "2" * 32]


async def test_without_a_tracer_a_callers_context_passes_through_and_nothing_else_is_sent():
    with tracing.enter(SILENT, PATH, CALLER).calling("s", "m", "a") as headers:
        assert headers == CALLER
    for sent in ((), (("traceparent", "nonsense"),)):
        trace = tracing.enter(SILENT, PATH, sent)
        with trace.calling("s", "m", "a") as headers:
            assert (headers, trace.trace_id, trace.kept) == ((), "", False)


def test_tracing_is_off_unless_an_endpoint_is_set(monkeypatch):
    assert not TracingSettings().wanted
    assert TracingSettings(endpoint="http://c:4317").wanted
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")
    assert TracingSettings().wanted
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not TracingSettings(endpoint="http://c:4317").wanted


def test_a_missing_sdk_is_said_at_the_start(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with (
        pytest.raises(UnimplementedError, match=r"install whence\[tracing\]"),
        exporting(TracingSettings(endpoint="http://127.0.0.1:1"), "p"),
    ):
        pass
    with exporting(TracingSettings(), "p") as tracer:
        assert tracer is SILENT


@pytest.mark.parametrize("name", ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"])
def test_the_environment_may_name_the_service(monkeypatch, name):
    from whence_service.rpc.otlp import _resource

    assert _resource("whence-worker").attributes["service.name"] == "whence-worker"
    monkeypatch.setenv(name, {"OTEL_SERVICE_NAME": "mine"}.get(name, "service.name=mine,team=x"))
    assert _resource("whence-worker").attributes["service.name"] == "mine"


async def test_a_wait_in_the_queue_is_a_span_however_it_ends_and_no_wait_is_none(spans):
    admission = Admission(1, 5)
    tracing.enter(spans.tracer, PATH, ())
    async with admission.slot():
        assert not spans.all()
        with pytest.raises(DeadlineError):
            async with admission.slot(Deadline.after(0.05)):
                pass
    (span,) = spans.all()
    assert span.name == "queue"
    assert span.end_time - span.start_time >= 0.04e9
