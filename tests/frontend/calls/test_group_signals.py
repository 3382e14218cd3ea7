"""Sums of signal over groups: exact where all was scored, right on average where a part was, whatever the order."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_service.frontend.calls.group_estimates import Drawn, GroupTotals
from whence_service.frontend.calls.group_results import group_results
from whence_service.frontend.calls.group_signals import sample_distribution, sum_signals
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.shrinkage import Shrinkage, shrink

NAMES = ("a", "b", "c")
members = st.lists(st.tuples(st.sampled_from(NAMES), st.floats(-5, 50)), min_size=20, max_size=60).filter(
    lambda rows: sum(abs(influence) > 1e-300 for _, influence in rows) >= 20
)


def shrinkage_of(influences: list[float]) -> Shrinkage:
    shrinkage = shrink(Distribution.of(influences))
    assert shrinkage is not None
    return shrinkage


def drawn(group: str, influence: float, *, scale: float = 1.0) -> Drawn:
    return Drawn(groups=(group,), estimate=influence, scale=scale, influence=influence)


def totals_of(rows: list[Drawn], name: str | None = None) -> GroupTotals:
    chosen = [row for row in rows if name is None or name in row.groups]
    return GroupTotals(
        name=name or "",
        sequences=len(chosen),
        estimate=sum(row.estimate for row in chosen),
        scale=sum(row.scale for row in chosen),
        squared_scale=sum(row.scale**2 for row in chosen),
    )


@given(members, st.randoms())
def test_with_everything_scored_groups_add_up_to_the_whole_and_no_order_matters(rows, rng: random.Random):
    """Broken by: a sum that leaves a group out; sums that are rounded on the way."""
    sample = [drawn(name, influence) for name, influence in rows]
    shrinkage = shrinkage_of([influence for _, influence in rows])
    totals = [totals_of(sample, name) for name in NAMES]
    sums, whole = sum_signals(totals, totals_of(sample), sample, None, shrinkage)
    for name in NAMES:
        assert sums[name].signal == math.fsum(shrinkage.signal(x) for of, x in rows if of == name)
        assert sums[name].variance == 0
    assert math.fsum(each.signal for each in sums.values()) == pytest.approx(whole.signal, rel=1e-12, abs=1e-12)
    assert math.fsum(each.squares for each in sums.values()) == pytest.approx(whole.squares, rel=1e-12)
    rng.shuffle(sample)
    assert sum_signals(totals, totals_of(sample), sample, None, shrinkage) == (sums, whole)


@given(members)
def test_a_sample_of_everything_shows_the_noise_of_a_full_scan(rows):
    sample = [drawn(name, influence) for name, influence in rows]
    assert sample_distribution(sample, None) == Distribution.of(influence for _, influence in rows)


def test_a_sample_counts_for_no_more_than_it_is_worth():
    """Broken by: weights of the sequences that the sample stands for, as if all of them were known."""
    sample = [drawn("a", 9.0, scale=10.0), *(drawn("a", 0.1 * place, scale=0.1) for place in range(1, 50))]
    told = sample_distribution(sample, 1.0)
    weights = [1.0, *[10.0] * 49]
    assert sum(told.weights.values()) == pytest.approx(sum(weights) ** 2 / sum(weight**2 for weight in weights))
    assert told.known == 50


class World:
    """Two thousand sequences in three groups: noise, and a few signals that the estimates know roughly."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.groups = [NAMES[place] for place in np.repeat(np.arange(3), (1500, 400, 100))]
        self.influences = rng.normal(size=2000)
        self.influences[::100] += rng.exponential(15, 20)
        estimates = self.influences + rng.normal(size=2000)
        self.scales = np.hypot(1.0, estimates)
        self.shrinkage = shrinkage_of(self.influences.tolist())
        everything = self.drawn(range(2000))
        self.totals = [totals_of(everything, name) for name in NAMES]
        self.whole = totals_of(everything)
        self.exact, _ = sum_signals(self.totals, self.whole, everything, None, self.shrinkage)

    def drawn(self, places) -> list[Drawn]:
        return [
            drawn(self.groups[place], float(self.influences[place]), scale=float(self.scales[place]))
            for place in places
        ]

    def sample(self, seed: int, size: int = 300) -> tuple[list[Drawn], float]:
        priorities = np.random.default_rng([3, seed]).random(2000) / self.scales
        order = np.argsort(priorities)
        return self.drawn(order[:size]), float(priorities[order[size]])


def test_sums_over_samples_are_right_on_average_and_their_variance_too():
    """Broken by: sequences that count once instead of for as many as they stand for; a variance of 0."""
    world = World()
    answers = [sum_signals(world.totals, world.whole, *world.sample(seed), world.shrinkage)[0] for seed in range(300)]
    for name in NAMES:
        found = np.array([answer[name].signal for answer in answers])
        assert abs(found.mean() - world.exact[name].signal) < 4 * found.std() / math.sqrt(len(found))
        told = np.mean([answer[name].variance for answer in answers])
        assert told == pytest.approx(found.var(), rel=0.35)
    squares = np.mean([answer["a"].squares for answer in answers])
    assert squares == pytest.approx(world.exact["a"].squares, rel=0.25)


def test_a_group_of_which_nobody_was_drawn_is_not_known_to_be_nothing():
    """Broken by: an interval from 0 to 0."""
    world = World()
    sample, threshold = world.sample(0)
    others = [one for one in sample if one.groups != ("c",)]
    sums, _ = sum_signals(world.totals, world.whole, others, threshold, world.shrinkage)
    assert sums["c"].signal == 0
    assert sums["c"].squares > 1


async def test_groups_are_ordered_by_signal_and_only_where_it_is_unknown_by_influence():
    few = [drawn("a", 1.0), drawn("b", 2.0)]
    order = await group_results([totals_of(few, "a"), totals_of(few, "b")], totals_of(few), few, None)
    assert [(each.estimate.name, each.signal) for each in order] == [("b", None), ("a", None), ("", None)]
    noise = [0.5 * (-1) ** place * (1 + place % 5) for place in range(60)]
    many = [drawn("a", 1.0) for _ in range(40)] + [drawn("c", x) for x in noise] + [drawn("b", 30.0)]
    order = await group_results([totals_of(many, name) for name in NAMES], totals_of(many), many, None)
    assert order[0].estimate.name == "b"
    assert next(each for each in order if each.estimate.name == "a").estimate.influence == 40
