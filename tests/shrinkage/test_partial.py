"""Shrinkage where large influences and a sample are known: near that of all, and nothing told from noise alone."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shrinkage.made_up import Noise, laplace, made_up, normal, student
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.partial import LargeInfluences, shrink_partly
from whence_service.shrinkage.shrinkage import Shrinkage, shrink

SEQUENCES = 4000
NOISES = (normal, laplace, student)


def partly(observed: list[float], seed: int, *, sample: int = 64, largest: int = 200, lightest: int = 64) -> Shrinkage:
    """The shrinkage where the ``largest`` positive and the ``lightest`` negative influences are known, and a sample."""
    ordered = sorted(observed)
    drawn = random.Random(seed).sample(ordered[lightest:-largest], sample)
    chosen = ordered[:lightest] + ordered[-largest:]
    weighted = Distribution.of(chosen) + Distribution.of(drawn, (len(observed) - len(chosen)) / sample)
    positive = LargeInfluences(least=ordered[-largest], distribution=Distribution.of(ordered[-largest:]))
    negative = LargeInfluences(least=-ordered[lightest - 1], distribution=Distribution.of(ordered[:lightest]))
    shrinkage = shrink_partly(weighted, positive, negative, worth=sample)
    assert shrinkage is not None
    return shrinkage


def whole(observed: list[float]) -> Shrinkage:
    shrinkage = shrink(Distribution.of(observed))
    assert shrinkage is not None
    return shrinkage


@pytest.mark.parametrize("noise", NOISES)
def test_seldom_is_anything_told_from_pure_noise(noise: Noise) -> None:
    """Broken by: sizes in units of a scale that may be too large; weights in the place of observations."""
    told = 0
    for seed in range(30):
        observed = made_up(seed, sequences=SEQUENCES, noise=noise).observed
        threshold = partly(observed, seed).threshold(1)
        told += threshold is not None and max(observed) >= threshold
    assert told <= 2


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(NOISES))
def test_next_to_nothing_is_told_from_pure_noise(seed: int, noise: Noise) -> None:
    observed = made_up(seed, sequences=SEQUENCES, noise=noise).observed
    threshold = partly(observed, seed).threshold(1) or math.inf
    assert sum(value >= threshold for value in observed) <= 4


@pytest.mark.parametrize("noise", [normal, student])
def test_significance_is_near_that_of_all_influences(noise: Noise) -> None:
    differences = []
    for seed in range(12):
        data = made_up(seed, sequences=SEQUENCES, share=0.005, size=50.0, noise=noise)
        some, every = partly(data.observed, seed), whole(data.observed)
        first = sorted(data.observed)[-20:]
        differences += [some.significance(value) - every.significance(value) for value in first]
        assert some.scale == pytest.approx(every.scale, rel=0.5)
    assert abs(statistics.mean(differences)) < 0.06
    assert statistics.pstdev(differences) < 0.15


@pytest.mark.parametrize("noise", [normal, student])
def test_most_large_signals_are_told(noise: Noise) -> None:
    told = large = 0
    for seed in range(6):
        data = made_up(seed, sequences=SEQUENCES, share=0.01, size=60.0, noise=noise)
        threshold = partly(data.observed, seed).threshold(1) or math.inf
        signals = [value for true, value in zip(data.true, data.observed, strict=True) if true > 40]
        told, large = told + sum(value >= threshold for value in signals), large + len(signals)
    assert told >= 0.8 * large


def test_the_tails_are_those_of_what_is_known() -> None:
    """Broken by: tails of the sample alone, which has none."""
    light, heavy = (
        statistics.mean(
            partly(made_up(seed, sequences=SEQUENCES, noise=noise).observed, seed).tails.freedom for seed in range(6)
        )
        for noise in (normal, student)
    )
    assert heavy < 5 < light


def test_influences_below_the_least_size_are_left_out() -> None:
    observed = made_up(1, sequences=SEQUENCES, noise=student).observed
    ordered = sorted(observed)
    sample = Distribution.of(ordered[::50], 50.0)

    def shrunk(known: list[float]) -> Shrinkage | None:
        positive = LargeInfluences(least=8.0, distribution=Distribution.of(value for value in known if value > 0))
        negative = LargeInfluences(least=8.0, distribution=Distribution.of(value for value in known if value < 0))
        return shrink_partly(sample, positive, negative, worth=80)

    assert shrunk(observed) == shrunk([value for value in observed if abs(value) > 6])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(NOISES))
def test_significance_rises_with_the_size(seed: int, noise: Noise) -> None:
    observed = made_up(seed, sequences=1000, share=0.02, size=20.0, noise=noise).observed
    shrinkage = partly(observed, seed, largest=60)
    for sign in (1, -1):
        sure = [shrinkage.significance(sign * shrinkage.scale * 1.1**power) for power in range(-30, 100)]
        assert sure == sorted(sure)
        assert all(0.5 <= value <= 1 for value in sure)


def test_too_few_influences_tell_nothing() -> None:
    none = LargeInfluences(least=1.0, distribution=Distribution())
    assert shrink_partly(Distribution.of([1.0] * 10, 50.0), none, none, worth=10) is None
