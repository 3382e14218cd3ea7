"""The export of spans to an OpenTelemetry collector over OTLP/gRPC, with OpenTelemetry's SDK (``whence[tracing]``)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import structlog
from opentelemetry.trace import Tracer

from whence.errors import UnimplementedError
from whence.reasons import Reason
from whence_service.rpc.tracing import SILENT

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import Sampler

# The time that a process which ends takes to hand over its last spans; the SDK itself would take up to 30 s.
FLUSH_S: Final = 2.0
# Any of these asks for tracing as the setting does; the SDK reads them, and OTEL_EXPORTER_OTLP_HEADERS and the like.
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SCOPE: Final = "whence"

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class TracingSettings:
    """Where spans go, and the share of the traces begun here that is kept (None: as ``OTEL_TRACES_SAMPLER`` says).

    Without an ``endpoint``, that of ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_ENDPOINT``.
    """

    endpoint: str = ""
    sampling: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether calls are traced."""
        if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return False
        return bool(self.endpoint) or any(os.environ.get(name) for name in _ENDPOINTS)


@contextmanager
def exporting(settings: TracingSettings, process: str) -> Iterator[Tracer]:
    """Give the tracer of a process for the length of the ``with``, and hand over its last spans at the end.

    Spans are sent by a thread of its own; while the collector does not answer, a bounded number waits and the others
    are dropped, and calls go on. Raises :class:`~whence.errors.UnimplementedError` (``MISSING_DEPENDENCY``) where
    tracing is wanted and the SDK is not installed.
    """
    if not settings.wanted:
        yield SILENT
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UnimplementedError(
            f"traces are to be exported, and {error.name} is not installed: install whence[tracing], or unset "
            f"otlp_endpoint and {' and '.join(_ENDPOINTS)}",
            reason=Reason.MISSING_DEPENDENCY,
        ) from error
    exporter = OTLPSpanExporter(endpoint=settings.endpoint or None)
    provider = TracerProvider(resource=_resource(process), sampler=_sampler(settings.sampling), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _log.info("exporting traces", endpoint=settings.endpoint or "of the environment", sampling=settings.sampling)
    try:
        yield provider.get_tracer(_SCOPE, version("whence"))
    finally:
        handover = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        handover.start()
        handover.join(FLUSH_S)
        if handover.is_alive():
            _log.warning("the last spans were not handed over", waited_s=FLUSH_S)
            exporter.shutdown()
            handover.join(FLUSH_S)


def _resource(process: str) -> Resource:
    from opentelemetry.sdk.resources import Resource

    given = Resource.create()  # from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    named = Resource({"service.name": process, "service.version": version("whence")})
    default_name = str(given.attributes.get("service.name", "")).startswith("unknown_service")
    return given.merge(named) if default_name else named.merge(given)


def _sampler(share: float | None) -> Sampler | None:
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    return None if share is None else ParentBasedTraceIdRatio(share)
