"""How channels are configured, and when a call is made again: pure decisions."""

from __future__ import annotations

import json
import math

import pytest

from whence import (
    Client,
    DeadlineError,
    InvalidRequestError,
    OverloadedError,
    RetryPolicy,
    UnavailableError,
    _channel,
    _retries,
)


def retried_methods(retry: RetryPolicy | None) -> set[str]:
    (config,) = [value for name, value in _channel.options(retry) if name == "grpc.service_config"]
    return {name["method"] for rule in json.loads(config).get("methodConfig", []) for name in rule["name"]}


def test_every_unary_method_is_retried_and_the_stream_is_not():
    unary = {
        "Attribute",
        "BatchAttribute",
        "Score",
        "Explain",
        "SelfInfluence",
        "GroupInfluence",
        "TextOverlap",
        "ListModels",
        "GetModel",
    }
    assert retried_methods(RetryPolicy()) == unary
    assert retried_methods(None) == set()


def test_only_unavailable_is_retried():
    (rule,) = _channel.service_config(RetryPolicy())["methodConfig"]
    assert rule["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_one_attempt_is_no_retry():
    assert retried_methods(RetryPolicy(max_attempts=1)) == set()
    assert ("grpc.enable_retries", 0) in _channel.options(RetryPolicy(max_attempts=1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", 2.5),
        ("max_attempts", True),
        ("initial_backoff_s", 0.0),
        ("initial_backoff_s", 0.0001),
        ("max_backoff_s", math.inf),
        ("max_backoff_s", "5"),
        ("multiplier", math.nan),
        ("multiplier", -1),
    ],
)
def test_what_grpc_cannot_do_is_no_policy(name, value):
    with pytest.raises(InvalidRequestError, match=name) as caught:
        RetryPolicy(**{name: value})
    assert (caught.value.reason, caught.value.field) == ("INVALID_RETRY_POLICY", name)


@pytest.mark.parametrize("timeout_s", [1e9, 1e308, math.inf])
def test_a_call_may_have_all_the_time_in_the_world(target, timeout_s):
    with Client(target, retry=RetryPolicy(max_attempts=1), timeout_s=timeout_s) as client:
        assert client.model().name == "toy"


def overloaded(retry_after_s: float, reason: str = "QUEUE_FULL") -> OverloadedError:
    return OverloadedError("full", reason=reason, retry_after_s=retry_after_s)


def test_the_wait_is_what_the_server_asks_and_a_little_more():
    waits = [_retries.wait_s(overloaded(2.0), _retries.Deadline(60), retry_overload=True) for _ in range(50)]
    assert all(2.0 <= wait <= 2.0 * (1 + _retries.SPREAD) for wait in waits)
    assert len(set(waits)) > 1


def test_a_quota_is_waited_for_where_that_does_not_take_long():
    assert _retries.wait_s(overloaded(29.0, "QUOTA_EXCEEDED"), _retries.Deadline(60), retry_overload=True) is not None


@pytest.mark.parametrize(
    ("error", "timeout_s", "retry_overload"),
    [
        (overloaded(2.0), 1.0, True),
        (overloaded(2.0), 60.0, False),
        (overloaded(31.0, "QUOTA_EXCEEDED"), 60.0, True),
        (overloaded(2.0, "GRPC_RESOURCE_EXHAUSTED"), 60.0, True),
        (UnavailableError("down", reason="DRAINING"), 60.0, True),
        (DeadlineError("late", reason="LATE"), 60.0, True),
    ],
)
def test_nothing_else_is_waited_for(error, timeout_s, retry_overload):
    deadline = _retries.Deadline(timeout_s)
    assert _retries.wait_s(error, deadline, retry_overload=retry_overload) is None
