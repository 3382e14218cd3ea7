"""Sums over groups from estimates and a sample: unbiased, exact where all was scored, honest about their error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from whence_service.frontend.calls.group_estimates import Drawn, GroupSum, GroupTotals, estimate_groups, merge_totals

NAMES = ("large", "middle", "small")
SIZES = (3000, 900, 100)


class World:
    """Sequences in three groups with heavy-tailed influences, of which estimates know a part."""

    def __init__(self, seed: int, *, share: float = 0.5, bias: float = 0.0) -> None:
        rng = np.random.default_rng(seed)
        self.groups = np.repeat(np.arange(3), SIZES)
        norms = rng.lognormal(0, 0.7, len(self.groups))
        signal = norms * rng.standard_t(3, len(self.groups)) + np.array([0.1, -0.2, 1.0])[self.groups]
        self.errors = norms * 0.8
        self.influences = signal
        self.estimates = share * signal + bias * norms + self.errors * rng.normal(size=len(self.groups))
        self.scales = np.hypot(self.errors, self.estimates)
        self.truth = np.bincount(self.groups, self.influences)

    def answer(self, samples: int, seed: int) -> list[GroupSum]:
        priorities = np.random.default_rng([7, seed]).random(len(self.groups)) / self.scales
        order = np.argsort(priorities)
        sample = [
            Drawn(
                groups=(NAMES[self.groups[i]],),
                estimate=float(self.estimates[i]),
                scale=float(self.scales[i]),
                influence=float(self.influences[i]),
            )
            for i in order[:samples]
        ]
        threshold = float(priorities[order[samples]]) if samples < len(order) else None
        return estimate_groups(self.totals(), self.whole(), sample, threshold)

    def totals(self) -> list[GroupTotals]:
        def sums(values: np.ndarray) -> list[float]:
            return np.bincount(self.groups, values).tolist()

        columns = (sums(self.estimates), sums(self.scales), sums(self.scales**2))
        return [
            GroupTotals(name=name, sequences=size, estimate=e, scale=s, squared_scale=q)
            for name, size, e, s, q in zip(NAMES, SIZES, *columns, strict=True)
        ]

    def whole(self) -> GroupTotals:
        return GroupTotals(
            name="",
            sequences=len(self.groups),
            estimate=float(self.estimates.sum()),
            scale=float(self.scales.sum()),
            squared_scale=float(np.square(self.scales).sum()),
        )


def sum_of(totals: list[GroupTotals]) -> GroupTotals:
    [whole] = merge_totals(replace(each, name="") for each in totals)
    return whole


def by_name(sums: list[GroupSum]) -> np.ndarray:
    """Return influence and standard error of each group, [3, 2], and check that the total is the last."""
    assert (sums[-1].name, sums[-1].sequences) == ("", sum(SIZES))
    found = {each.name: each for each in sums[:-1]}
    return np.array([[found[name].influence, found[name].standard_error] for name in NAMES])


@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_the_sums_are_right_on_average_however_wrong_the_estimates_are(bias: float) -> None:
    """Broken by: weighting residuals by 1 instead of 1/π; drawing with a threshold that counts one too many."""
    world = World(0, bias=bias)
    answers = np.array([by_name(world.answer(200, seed)) for seed in range(400)])
    mean, spread = answers[:, :, 0].mean(axis=0), answers[:, :, 0].std(axis=0)
    assert np.all(np.abs(mean - world.truth) < 4 * spread / math.sqrt(len(answers)))


@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_the_standard_errors_are_those_over_samples(bias: float) -> None:
    """Broken by: forgetting that a drawn sequence stands for others; no variance where nobody was drawn."""
    world = World(1, bias=bias)
    answers = np.array([by_name(world.answer(200, seed)) for seed in range(400)])
    spread = answers[:, :, 0].std(axis=0)
    told = np.sqrt(np.square(answers[:, :, 1]).mean(axis=0))
    assert told[:2] == pytest.approx(spread[:2], rel=0.15)
    assert 0.7 < told[2] / spread[2] < 1.6  # a small group borrows its variance from the others
    covered = np.abs(answers[:, :, 0] - world.truth) < 2 * answers[:, :, 1]
    assert np.all(covered.mean(axis=0) > 0.9)


def test_more_samples_make_the_error_smaller_and_all_make_it_none() -> None:
    world = World(2)
    errors = [by_name(world.answer(samples, 0))[:, 1] for samples in (100, 1000, 3000)]
    assert np.all(errors[0] > errors[1])
    assert np.all(errors[1] > errors[2])
    everything = by_name(world.answer(sum(SIZES), 0))
    assert everything[:, 0] == pytest.approx(world.truth, rel=1e-12)
    assert not everything[:, 1].any()


def test_better_estimates_make_the_error_smaller() -> None:
    """Broken by: not using the estimates at all."""
    poor, good = World(3, share=0.05), World(3, share=3.0)
    assert np.all(by_name(good.answer(300, 0))[:2, 1] < 0.75 * by_name(poor.answer(300, 0))[:2, 1])


def test_a_group_that_was_drawn_whole_is_exact_among_others_that_were_not() -> None:
    totals = [
        GroupTotals(name="one", sequences=1, estimate=1.0, scale=1.0, squared_scale=1.0),
        GroupTotals(name="many", sequences=9, estimate=3.0, scale=4.0, squared_scale=2.0),
    ]
    sample = [
        Drawn(groups=("one",), estimate=1.0, scale=1.0, influence=5.0),
        Drawn(groups=("many",), estimate=0.2, scale=0.5, influence=0.1),
    ]
    many, one = sorted(estimate_groups(totals, sum_of(totals), sample, 0.5)[:-1], key=lambda each: each.name)
    assert (one.influence, one.standard_error, one.sampled) == (5.0, 0.0, 1)
    assert many.standard_error > 0


def test_groups_are_ordered_by_influence_and_then_by_name() -> None:
    totals = [
        GroupTotals(name=name, sequences=1, estimate=x, scale=1.0, squared_scale=1.0)
        for name, x in (("b", 1.0), ("a", 1.0), ("c", 2.0))
    ]
    sample = [Drawn(groups=(each.name,), estimate=1.0, scale=1.0, influence=each.estimate) for each in totals]
    assert [each.name for each in estimate_groups(totals, sum_of(totals), sample, None)] == ["c", "a", "b", ""]


def test_a_sequence_in_two_groups_counts_in_both_and_once_in_all() -> None:
    one = GroupTotals(name="one", sequences=2, estimate=3.0, scale=2.0, squared_scale=2.0)
    both = [one, replace(one, name="other")]
    sample = [Drawn(groups=("one", "other"), estimate=1.5, scale=1.0, influence=x) for x in (1.0, 2.0)]
    *sums, total = estimate_groups(both, one, sample, None)
    assert [(each.name, each.influence) for each in (*sums, total)] == [("one", 3.0), ("other", 3.0), ("one", 3.0)]


def test_parts_of_a_group_in_several_shards_are_one() -> None:
    part = GroupTotals(name="web", sequences=2, estimate=1.0, scale=0.5, squared_scale=0.25)
    other = GroupTotals(name="books", sequences=1, estimate=0.0, scale=0.0, squared_scale=0.0)
    assert merge_totals([part, other, part]) == [
        other,
        GroupTotals(name="web", sequences=4, estimate=2.0, scale=1.0, squared_scale=0.5),
    ]
