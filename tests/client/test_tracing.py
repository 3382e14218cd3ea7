"""Clients go on with the trace of their caller, if there is one."""

from __future__ import annotations

import subprocess
import sys

from opentelemetry.sdk.trace import TracerProvider

from whence._tracing import with_trace

MINE = (("authorization", "x"), ("traceparent", "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"))


def test_the_context_of_the_current_span_goes_with_a_call():
    with TracerProvider().get_tracer("caller").start_as_current_span("notebook") as span:
        headers = dict(with_trace((("a", "b"),)))
    assert headers["a"] == "b"
    assert f"{span.get_span_context().trace_id:032x}" in headers["traceparent"]


def test_outside_of_a_span_nothing_is_added():
    assert with_trace((("a", "b"),)) == (("a", "b"),)


def test_a_context_that_the_caller_gives_as_metadata_stays():
    with TracerProvider().get_tracer("caller").start_as_current_span("notebook"):
        assert with_trace(MINE) == MINE


def test_opentelemetry_is_not_imported_by_a_client():
    program = "import sys, whence, whence._tracing as t; t.with_trace(()); assert 'opentelemetry' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
