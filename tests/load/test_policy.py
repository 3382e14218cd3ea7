"""What admission does with overload, in virtual time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from load.policy import ALONE, TWO, simulate

SECONDS = 800.0


@pytest.mark.parametrize("shares", [ALONE, TWO], ids=["one tenant", "two tenants"])
def test_a_queue_that_is_bounded_by_time_answers_under_overload_about_as_fast_as_without(shares: dict[str, float]):
    calm, overload = (simulate(load, shares, seconds=SECONDS, max_running=3, max_wait_s=4.0) for load in (0.5, 10.0))
    assert overload.p99_s < 2 * calm.p99_s
    assert overload.answered > 0.9 * SECONDS  # the engine is kept busy
    assert sum(calm.refused.values()) < 0.02 * calm.answered


def test_a_queue_that_is_bounded_by_number_alone_makes_everyone_wait_for_all_that_are_in_it():
    calm, overload = (simulate(load, ALONE, seconds=SECONDS) for load in (0.5, 10.0))
    assert overload.p99_s > 20 * calm.p99_s


@pytest.mark.parametrize("max_wait_s", [math.inf, 4.0])
def test_under_overload_by_both_each_tenant_gets_half(max_wait_s: float):
    overload = simulate(10.0, TWO, seconds=SECONDS, max_running=4, max_wait_s=max_wait_s)
    busy, other = (len(overload.latencies_s[tenant]) for tenant in TWO)
    assert 0.8 < other / busy < 1.25


def test_a_tenant_that_asks_for_less_than_its_share_does_not_suffer_from_one_that_asks_for_more():
    overload = simulate(3.0, TWO, seconds=SECONDS)
    assert overload.share("other") == 1.0
    assert overload.share("busy") < 0.5
    assert np.percentile(overload.latencies_s["other"], 50) < np.percentile(overload.latencies_s["busy"], 50) / 10
