"""An OpenTelemetry collector: a real server of OTLP/gRPC that keeps the spans it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True, kw_only=True)
class Collected:
    """A span, the process it came from, and its attributes."""

    process: str
    span: trace_pb2.Span
    attributes: dict[str, str]

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        return self.span.parent_span_id.hex()


@dataclass(kw_only=True)
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps spans; takes ``delay_s`` over each batch."""

    address: str = ""
    delay_s: float = 0.0
    spans: list[Collected] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def Export(self, request, context):  # noqa: N802 - the protocol's name
        self.stopping.wait(self.delay_s)
        for resource in request.resource_spans:
            process = _values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [
                    Collected(process=process, span=span, attributes=_values(span.attributes)) for span in scope.spans
                ]
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, trace_id: str) -> list[Collected]:
        return [span for span in self.spans if span.trace_id == trace_id]


@contextmanager
def collecting(*, delay_s: float = 0.0) -> Iterator[Collector]:
    """Run a collector for the length of the ``with``."""
    collector = Collector(delay_s=delay_s)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        collector.stopping.set()
        server.stop(None)


def _values(attributes) -> dict[str, str]:
    return {pair.key: pair.value.string_value or str(pair.value.int_value) for pair in attributes}
