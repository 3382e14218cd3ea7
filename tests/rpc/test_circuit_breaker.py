"""The circuit breaker, on a clock of the test's own."""

from __future__ import annotations

import pytest

from whence_service.rpc.circuit_breaker import CircuitBreaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(failures=3, open_s=5.0, clock=clock)
    for _ in range(3):
        assert breaker.allow()
        breaker.failed()
    return breaker


def test_it_opens_after_enough_failures_in_a_row(opened: CircuitBreaker):
    assert opened.state == "open"
    assert not opened.allow()


def test_a_success_in_between_starts_the_count_again():
    breaker = CircuitBreaker(failures=2)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.state == "closed"


def test_after_a_while_one_probe_is_let_through_and_no_more(opened: CircuitBreaker, clock: Clock):
    clock.now = 5.0
    assert [opened.allow() for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it(opened: CircuitBreaker, clock: Clock):
    clock.now = 5.0
    opened.allow()
    opened.succeeded()
    assert [opened.allow() for _ in range(3)] == [True, True, True]


def test_a_probe_that_fails_opens_it_for_as_long_again(opened: CircuitBreaker, clock: Clock):
    clock.now = 5.0
    opened.allow()
    opened.failed()
    clock.now = 9.9
    assert not opened.allow()
    clock.now = 10.0
    assert opened.allow()


def test_a_probe_that_was_cancelled_lets_the_next_one_through(opened: CircuitBreaker, clock: Clock):
    clock.now = 5.0
    opened.allow()
    opened.abandoned()
    assert opened.allow()
