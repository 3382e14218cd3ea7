"""The caller's trace, which calls go on: if OpenTelemetry is in use in this process, and a span is current."""

from __future__ import annotations

import sys

from whence._channel import Metadata


def with_trace(metadata: Metadata) -> Metadata:
    """Return the metadata with the W3C context of the current span; that of the caller stays where it has one."""
    # Without an import of the API there is no span; so it is neither required nor imported here.
    if "opentelemetry.trace" not in sys.modules or any(name == "traceparent" for name, _ in metadata):
        return metadata
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    return (*metadata, *headers.items())
