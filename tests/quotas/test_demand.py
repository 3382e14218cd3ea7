"""How long it takes until a window has room: compared with a window that is watched as time goes by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond

from whence_service.quotas.demand import Demand, Window

WINDOW_S = 60


def demand(limit: int, amount: int) -> Demand:
    return Demand(tenant="t", quota="sequences", limit=RateLimitItemPerMinute(limit), amount=amount)


def later(window: Window, seconds: float) -> Window:
    """Return the window after a time in which nobody asked."""
    if seconds < window.boundary_s:
        return Window(
            previous=window.previous,
            previous_s=max(0.0, window.previous_s - seconds),
            current=window.current,
            boundary_s=window.boundary_s - seconds,
        )
    since_s = seconds - window.boundary_s
    return Window(previous=window.current, previous_s=max(0.0, WINDOW_S - since_s), current=0, boundary_s=WINDOW_S)


@given(
    previous=st.integers(0, 1000),
    current=st.integers(0, 1000),
    left_s=st.floats(0, WINDOW_S),
    limit=st.integers(1, 1000),
    share=st.floats(0, 1),
)
def test_after_the_wait_there_is_room_and_before_it_there_is_none(previous, current, left_s, limit, share):
    window = Window(previous=previous, previous_s=left_s, current=current, boundary_s=left_s)
    asked = demand(limit, max(1, round(limit * share)))
    wait_s = window.wait_s(asked)
    assert 0 <= wait_s <= 2 * WINDOW_S
    assert later(window, wait_s + 0.01).used(asked) + asked.amount <= limit
    if wait_s > 0.01:
        assert later(window, wait_s - 0.01).used(asked) + asked.amount > limit


def test_a_share_of_a_limit_is_a_limit_for_the_same_time():
    half = Demand(tenant="t", quota="calls", limit=RateLimitItemPerSecond(9, 5), amount=1).under_share(0.5)
    assert (half.limit.amount, half.window_s) == (4, 5)
    assert demand(1, 1).under_share(0.1).limit.amount == 1


@pytest.mark.parametrize(
    ("limit", "period"), [(RateLimitItemPerMinute(1), "a minute"), (RateLimitItemPerSecond(1, 10), "10 seconds")]
)
def test_periods_are_said_in_words(limit, period):
    assert Demand(tenant="", quota="calls", limit=limit, amount=1).period == period
