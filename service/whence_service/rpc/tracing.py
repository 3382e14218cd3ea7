"""The trace of a call: a span for the call, for each call that it makes, and for each of its stages.

Contexts travel as W3C ``traceparent`` and ``tracestate`` metadata. With the tracer that records nothing, which is the
default, the caller's context passes to the workers as it came, so that its trace id is in our logs and theirs.
:mod:`whence_service.rpc.otlp` makes tracers that record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol

from opentelemetry.context import Context, attach
from opentelemetry.trace import (
    INVALID_SPAN,
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from whence.errors import WhenceError

Metadata = tuple[tuple[str, str], ...]

SILENT: Final[Tracer] = NoOpTracer()
"""Records nothing."""
# A scan of a large corpus has as many stages as batches: those beyond this number share one span for each name.
MOST_SPANS_OF_A_STAGE: Final = 32
# Every front end asks this of every worker every few seconds; by themselves such calls begin no trace.
_POLLED: Final = ("/GetInfo",)
_HEADERS: Final = ("traceparent", "tracestate")
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_CANCELLED: Final = "CANCELLED"


class StageTrace(Protocol):
    """Takes the stages of a call."""

    def begin(self, stage: str) -> Span | None:
        """Return the span of a stage that begins now; ``None`` where it is to be given to :meth:`lap` once it ended."""

    def lap(self, stage: str, duration_s: float, ended_s: float | None) -> None:
        """Record a stage that ended at that time of ``time.perf_counter``; ``None``: now."""


@dataclass(kw_only=True)
class _Rest:
    """The laps of a stage that have no span of their own."""

    began_s: float
    ended_s: float
    busy_s: float = 0.0
    laps: int = 0


class CallTrace:
    """The spans of one call. State: the laps by stage. Owner: the task of the call and those that it waits for."""

    def __init__(self, tracer: Tracer = SILENT, span: Span = INVALID_SPAN) -> None:
        self._tracer = tracer
        self._span = span
        self._recorded = span.is_recording()
        self._laps: dict[str, int] = {}
        self._rest: dict[str, _Rest] = {}

    def __repr__(self) -> str:
        return f"<CallTrace {self.trace_id or 'none'} {self._laps}>"

    @property
    def trace_id(self) -> str:
        """The trace's id in hexadecimal; empty where there is none."""
        context = self._span.get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else ""

    @property
    def kept(self) -> bool:
        """Whether the trace can be looked up: it is recorded here, and its sampler keeps it."""
        return self._recorded and self._span.get_span_context().trace_flags.sampled

    def begin(self, stage: str) -> Span | None:
        """Begin a stage, whose parent is the stage or the call that is current in this task."""
        if not self._recorded or self._count(stage) > MOST_SPANS_OF_A_STAGE:
            return None
        return self._tracer.start_span(stage)

    def lap(self, stage: str, duration_s: float, ended_s: float | None) -> None:
        """Record a stage that has ended as a part of the call itself."""
        if not self._recorded:
            return
        ended_s = time.perf_counter() if ended_s is None else ended_s
        began_s = ended_s - duration_s
        if self._count(stage) <= MOST_SPANS_OF_A_STAGE:
            self._child(stage, began_s).end(_epoch_ns(ended_s))
            return
        rest = self._rest.setdefault(stage, _Rest(began_s=began_s, ended_s=ended_s))
        rest.ended_s = max(rest.ended_s, ended_s)
        rest.busy_s += duration_s
        rest.laps += 1

    @contextmanager
    def calling(self, service: str, method: str, address: str) -> Iterator[Metadata]:
        """Record a call to another process for the length of the ``with``, and give the metadata to send with it."""
        if self._span is INVALID_SPAN:
            yield ()
            return
        attributes = {**_rpc(service, method), "server.address": address}
        span = self._tracer.start_span(f"{service}/{method}", kind=SpanKind.CLIENT, attributes=attributes)
        try:
            yield _headers(span)
        except WhenceError as error:
            _fail(span, error.code.name, error.reason)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            _fail(span, _CANCELLED, _CANCELLED)
            raise
        finally:
            span.end()

    def end(self, code: str, reason: str, request_id: str) -> None:
        """End the call's span with its gRPC code and, if it failed, the reason. Messages may hold users' texts."""
        if not self._recorded:
            return
        for stage, rest in self._rest.items():
            span = self._child(stage, rest.began_s)
            span.set_attributes({"whence.laps": rest.laps, "whence.busy_s": rest.busy_s})
            span.end(_epoch_ns(rest.ended_s))
        self._span.set_attribute("whence.request_id", request_id)
        if reason:
            _fail(self._span, code, reason)
        else:
            self._span.set_attribute("rpc.response.status_code", code)
        self._span.end()

    def _count(self, stage: str) -> int:
        self._laps[stage] = self._laps.get(stage, 0) + 1
        return self._laps[stage]

    def _child(self, stage: str, began_s: float) -> Span:
        parent = set_span_in_context(self._span, Context())
        return self._tracer.start_span(stage, parent, start_time=_epoch_ns(began_s))


class SharedTrace:
    """Gives stages that serve several calls to the traces of all of them."""

    def __init__(self, traces: Sequence[StageTrace]) -> None:
        self._traces = traces

    def begin(self, _: str) -> None:
        """Leave it to :meth:`lap`: a span has one parent."""
        return

    def lap(self, stage: str, duration_s: float, ended_s: float | None) -> None:
        """Record a stage in each trace."""
        for trace in self._traces:
            trace.lap(stage, duration_s, ended_s)


UNTRACED: Final = CallTrace()
# Set by the interceptor in the task of each call; tasks inherit it, so that calls are independent.
_current: ContextVar[CallTrace] = ContextVar("whence_trace", default=UNTRACED)


def current_trace() -> CallTrace:
    """Return the trace of the call being served; outside of one, a trace of nothing."""
    return _current.get()


def enter(tracer: Tracer, path: str, metadata: Iterable[tuple[str, str | bytes]]) -> CallTrace:
    """Begin the trace of the call to ``path``, a part of the caller's if it sent one, for the rest of this task."""
    carrier = {name: value for name, value in metadata if name in _HEADERS and isinstance(value, str)}
    if (not carrier and tracer is SILENT) or (not carrier and path.endswith(_POLLED)):
        trace = UNTRACED
    else:
        service, _, method = path.strip("/").rpartition("/")
        parent = _PROPAGATOR.extract(carrier, Context())
        span = tracer.start_span(path.strip("/"), parent, kind=SpanKind.SERVER, attributes=_rpc(service, method))
        attach(set_span_in_context(span))
        trace = CallTrace(tracer, span)
    _current.set(trace)
    return trace


def within(span: Span | None) -> AbstractContextManager[Any]:
    """Make ``span`` the parent of what begins inside the ``with``."""
    if span is None:
        return nullcontext()
    # Exceptions are not recorded: their messages may hold users' texts.
    return use_span(span, record_exception=False, set_status_on_exception=False)


def _rpc(service: str, method: str) -> dict[str, str]:
    return {"rpc.system.name": "grpc", "rpc.method": f"{service}/{method}"}


def _headers(span: Span) -> Metadata:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span, Context()))
    return tuple(carrier.items())


def _fail(span: Span, code: str, reason: str) -> None:
    span.set_attributes({"rpc.response.status_code": code, "error.type": str(reason)})
    span.set_status(Status(StatusCode.ERROR, str(reason)))


def _epoch_ns(moment_s: float) -> int:
    """Return a time of ``time.perf_counter`` in nanoseconds since the epoch."""
    return time.time_ns() - round((time.perf_counter() - moment_s) * 1e9)
