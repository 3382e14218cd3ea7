"""Errors become statuses small enough for gRPC, and become the same errors again."""

from __future__ import annotations

from urllib.parse import quote

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence import status
from whence.errors import (
    ERRORS,
    ForbiddenError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
)

# gRPC Python drops a call's whole error where its metadata is larger.
HARD_LIMIT_BYTES = 16 * 1024


class FailedCall(grpc.RpcError):
    """A failed call with the given status."""

    def __init__(self, code, details="", metadata=()):
        self._parts = (code, details, metadata)

    def code(self):
        return self._parts[0]

    def details(self):
        return self._parts[1]

    def trailing_metadata(self):
        return self._parts[2]


def over_the_wire(error):
    return status.from_call(FailedCall(*status.to_wire(error)))


@pytest.mark.parametrize("kind", ERRORS)
def test_each_error_comes_back_as_itself(kind):
    error = over_the_wire(kind("what, and what to try", reason="SOME_REASON", model="toy"))
    assert type(error) is kind
    assert (error.message, error.reason, error.details) == (
        "what, and what to try",
        "SOME_REASON",
        {"model": "toy"},
    )


def test_the_field_to_blame_comes_back():
    sent = InvalidRequestError("bad", reason="BAD", field="query.text.completion")
    assert over_the_wire(sent).field == "query.text.completion"


@given(st.floats(0.001, 3600))
def test_the_wait_comes_back_to_the_millisecond(retry_after_s):
    sent = OverloadedError("full", reason="QUEUE_FULL", retry_after_s=retry_after_s)
    assert over_the_wire(sent).retry_after_s == pytest.approx(retry_after_s, abs=0.00051)


@settings(max_examples=30)
@given(st.integers(0, 40_000), st.integers(0, 30))
def test_a_status_of_any_size_stays_under_the_limit(length, pairs):
    details = {f"key_{number}": "x" * length for number in range(pairs)}
    error = InvalidRequestError("x" * length, reason="LONG", field="f", **details)
    assert on_the_wire_bytes(status.to_wire(error)) < HARD_LIMIT_BYTES
    assert over_the_wire(error).reason == "LONG"


@pytest.mark.parametrize("letter", ["é", "漢", "🦉"])
def test_a_status_of_any_script_stays_under_the_limit(letter):
    details = {f"key_{number}": letter * 40_000 for number in range(30)}
    error = InvalidRequestError(letter * 40_000, reason="LONG", field="f", **details)
    assert on_the_wire_bytes(status.to_wire(error)) < HARD_LIMIT_BYTES


def on_the_wire_bytes(wire: status.WireStatus) -> int:
    """The message travels percent-encoded; each header counts 32 bytes more (RFC 7541, section 4.1)."""
    sizes = [len(key) + len(value) + 32 for key, value in wire.trailing_metadata]
    return sum(sizes) + len(quote(wire.details)) + 32


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.ABORTED, UnavailableError),
        (grpc.StatusCode.UNKNOWN, InternalError),
        (grpc.StatusCode.PERMISSION_DENIED, ForbiddenError),
        (grpc.StatusCode.UNAUTHENTICATED, UnauthenticatedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
    ],
)
def test_a_status_that_is_not_ours_becomes_the_error_of_its_code(code, kind):
    error = status.from_call(FailedCall(code, "from a proxy"))
    assert type(error) is kind
    assert (error.reason, error.message) == (f"GRPC_{code.name}", "from a proxy")


def test_details_of_another_domain_are_not_taken_for_ours():
    ours = status.to_wire(InvalidRequestError("bad", reason="THEIRS"))
    ((key, value),) = ours.trailing_metadata
    theirs = FailedCall(ours.code, "from a proxy", ((key, value.replace(b"whence", b"elsewh")),))
    assert status.from_call(theirs).reason == "GRPC_INVALID_ARGUMENT"
