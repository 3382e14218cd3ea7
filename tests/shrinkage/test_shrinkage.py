"""Shrinkage on made-up influences whose true values are known: nothing found in noise, what is there found."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shrinkage.made_up import MadeUp, Noise, laplace, made_up, normal, student
from whence.significance import is_significant
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.likelihood import most_likely_weights
from whence_service.shrinkage.shrinkage import Shrinkage, shrink

seeds = st.integers(0, 2**32)
# Influences as awkward as they come: of every size, many of them 0, many of them alike.
awkward = st.lists(
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(-1, 1),
        st.sampled_from((0.0, -0.0, 1.0, -1.0, 1e-300, -1e300, 5e-324)),
    ),
    min_size=20,
    max_size=80,
)


def shrinkage_of(observed: list[float]) -> Shrinkage:
    shrinkage = shrink(Distribution.of(observed))
    assert shrinkage is not None
    return shrinkage


def called(data: MadeUp) -> list[float]:
    """Return the true influences of what is told from noise, each times the sign that was observed."""
    shrinkage = shrinkage_of(data.observed)
    least = {sign: shrinkage.threshold(sign) or math.inf for sign in (1, -1)}
    return [
        math.copysign(1, observed) * true
        for true, observed in zip(data.true, data.observed, strict=True)
        if abs(observed) >= least[1 if observed > 0 else -1]
    ]


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from((50, 300, 1000)), st.sampled_from((normal, laplace, student)))
def test_next_to_nothing_is_told_from_pure_noise_whatever_its_tails(seed: int, sequences: int, noise: Noise) -> None:
    """Broken by: noise that is taken to be normal (then some thirty of a thousand are)."""
    assert len(called(made_up(seed, sequences=sequences, noise=noise))) <= 2


@pytest.mark.parametrize("noise", [normal, laplace, student])
def test_seldom_is_anything_told_from_pure_noise(noise: Noise) -> None:
    """Broken by: no preference for nothing."""
    assert sum(bool(called(made_up(seed, sequences=300, noise=noise))) for seed in range(20)) <= 2


@pytest.mark.parametrize("noise", [normal, student])
@pytest.mark.parametrize(("share", "size"), [(0.005, 50.0), (0.02, 20.0), (0.1, 5.0), (0.1, 50.0)])
def test_of_what_is_told_from_noise_at_most_one_in_twenty_has_the_wrong_sign(
    share: float, size: float, noise: Noise
) -> None:
    """A sequence whose true influence is 0 counts for one half: its sign is right by chance.

    Broken by: taking the largest influence for a signal of its own.
    """
    data = [made_up(seed, sequences=1000, share=share, size=size, noise=noise) for seed in range(8)]
    signs = [true > 0 for made in data for true in called(made)]
    assert (len(signs) - sum(signs)) / 2 <= max(1, 0.05 * len(signs))


@pytest.mark.parametrize("noise", [normal, student])
def test_significance_is_the_share_of_right_signs(noise: Noise) -> None:
    """A sequence whose true influence is 0 counts for one half: its sign is right by chance.

    Broken by: tails that are normal; tails of the sign that has the signals.
    """
    pairs = []
    for seed in range(20):
        data = made_up(seed, sequences=1000, share=0.02, size=30.0, noise=noise)
        shrinkage = shrinkage_of(data.observed)
        large = [pair for pair in zip(data.true, data.observed, strict=True) if abs(pair[1]) > 3]
        pairs += [(shrinkage.significance(x), 0.5 if not true else float(true * x > 0)) for true, x in large]
    for low, high in ((0.5, 0.7), (0.7, 0.95), (0.95, 1.01)):
        chosen = [pair for pair in pairs if low <= pair[0] < high]
        said, right = (statistics.mean(column) for column in zip(*chosen, strict=True))
        assert said == pytest.approx(right, abs=0.12), (low, len(chosen))


@pytest.mark.parametrize("sign", [1, -1])
def test_signals_of_either_sign_are_told(sign: int) -> None:
    data = made_up(0, sequences=1000, share=0.02, size=50.0, sign=sign)
    assert sum(true > 0 for true in called(data)) >= 0.6 * sum(true != 0 for true in data.true)


def test_what_is_as_often_negative_as_positive_is_noise() -> None:
    """A limit that is meant: large influences of both signs alike are tails, not signals."""
    shares = [len(called(made_up(seed, sequences=1000, share=0.05, size=20.0, sign=0))) / 50 for seed in range(5)]
    assert statistics.mean(shares) < 0.3


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_most_large_influences_are_told_from_noise(seed: int) -> None:
    data = made_up(seed, sequences=2000, share=0.02, size=50.0)
    large = sum(abs(true) > 6 for true in data.true)
    assert len(called(data)) >= 0.8 * large


@pytest.mark.parametrize(("share", "size"), [(0.01, 20.0), (0.05, 10.0), (0.05, 50.0)])
def test_signals_come_close_to_the_best_there_are(share: float, size: float) -> None:
    """The oracle knows the mixture and the noise; its mean square error is the smallest possible.

    Broken by: an influence that is taken whole, or by half, whatever the chance.
    """

    def oracle(observed: float) -> float:
        of_some = 2 * share * math.exp(-(observed**2) / (1 + size**2) / 2) / math.hypot(1, size)
        of_none = (1 - share) * math.exp(-(observed**2) / 2)
        return max(0.0, observed) * size**2 / (1 + size**2) * of_some / (of_some + of_none)

    ours, best, raw = [], [], []
    for seed in range(6):
        data = made_up(seed, sequences=1000, share=share, size=size, sign=1)
        shrinkage = shrinkage_of(data.observed)
        for true, observed in zip(data.true, data.observed, strict=True):
            ours.append((shrinkage.signal(observed) - true) ** 2)
            best.append((oracle(observed) - true) ** 2)
            raw.append((observed - true) ** 2)
    assert statistics.mean(ours) < 2 * statistics.mean(best)
    assert statistics.mean(ours) < statistics.mean(raw) / 2


@settings(max_examples=15, deadline=None)
@given(awkward)
def test_signal_and_significance_rise_with_the_size_of_the_influence(observed: list[float]) -> None:
    """Broken by: parts that lose their weight where densities underflow."""
    shrinkage = shrink(Distribution.of(observed))
    if shrinkage is None:
        return
    sizes = sorted({abs(value) for value in observed} | {shrinkage.scale * 1.1**power for power in range(-20, 120)})
    signals = [shrinkage.signal(size) for size in sizes]
    for low, high in pairwise(signals):
        assert low <= high * (1 + 1e-9)
    for sign in (1, -1):
        sure = [shrinkage.significance(sign * size) for size in sizes]
        assert sure == sorted(sure)
        assert all(0.5 <= value <= 1 for value in sure)
    assert all(0 <= signal <= size for signal, size in zip(signals, sizes, strict=True))


@settings(max_examples=20, deadline=None)
@given(awkward)
def test_the_threshold_is_where_significance_begins(observed: list[float]) -> None:
    shrinkage = shrink(Distribution.of(observed))
    if shrinkage is None:
        return
    for sign in (1, -1):
        threshold = shrinkage.threshold(sign)
        if threshold is None:
            assert not any(is_significant(shrinkage.significance(x)) for x in observed if sign * x > 0)
        else:
            assert is_significant(shrinkage.significance(sign * threshold * (1 + 1e-9)))
            assert not is_significant(shrinkage.significance(sign * threshold * (1 - 1e-6)))


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_signs_are_treated_alike(seed: int) -> None:
    observed = made_up(seed, sequences=200, share=0.1, size=9.0).observed
    one, other = shrinkage_of(observed), shrinkage_of([-value for value in observed])
    for value in observed:
        assert one.signal(value) == -other.signal(-value)
        assert one.significance(value) == other.significance(-value)


@pytest.mark.parametrize("scale", [1e-150, 1 / 3, 1000.0])
def test_it_scales_with_the_influences(scale: float) -> None:
    observed = made_up(3, sequences=500, share=0.05, size=20.0).observed
    one, other = shrinkage_of(observed), shrinkage_of([scale * value for value in observed])
    for value in observed:
        assert other.signal(scale * value) == pytest.approx(scale * one.signal(value), abs=0.1 * scale)
        assert other.significance(scale * value) == pytest.approx(one.significance(value), abs=0.06)


def test_it_scales_exactly_with_powers_of_two() -> None:
    observed = made_up(3, sequences=500, share=0.05, size=20.0).observed
    one, other = shrinkage_of(observed), shrinkage_of([value / 64 for value in observed])
    assert [other.signal(value / 64) * 64 for value in observed] == [one.signal(value) for value in observed]


def test_the_fit_is_the_maximum_of_the_likelihood() -> None:
    """Against thousands of steps of plain EM."""
    data = made_up(4, sequences=100, share=0.1, size=10.0)
    deviations = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    columns = [[math.exp(-(x**2) / (1 + d**2) / 2) / math.hypot(1, d) for x in data.observed] for d in deviations]
    rows = list(zip(*columns, strict=True))
    weights = [1 / len(deviations)] * len(deviations)
    for _ in range(2000):
        sums = [9.0, *[0.0] * (len(deviations) - 1)]
        for row in rows:
            total = sum(w * p for w, p in zip(weights, row, strict=True))
            sums = [s + w * p / total for s, w, p in zip(sums, weights, row, strict=True)]
        weights = [s / sum(sums) for s in sums]

    def likelihood(parts: list[float]) -> float:
        of_rows = (math.log(sum(w * p for w, p in zip(parts, row, strict=True))) for row in rows)
        return math.fsum(of_rows) + 9.0 * math.log(parts[0])

    ours = most_likely_weights(columns, [1.0] * len(rows))
    assert likelihood(ours) == pytest.approx(likelihood(weights), abs=0.05)


@pytest.mark.parametrize(
    "observed",
    [
        [1.0] * 100,
        [0.0] * 60 + [random.Random(0).gauss(0, 1) for _ in range(40)],
        [1e-300] * 50 + [1e300],
        [5e-324] * 100 + [1.0] * 30,
    ],
    ids=["all alike", "half of them 0", "of every size", "denormal"],
)
def test_extremes_have_finite_answers(observed: list[float]) -> None:
    shrinkage = shrinkage_of(observed)
    assert all(math.isfinite(shrinkage.signal(value)) for value in observed)
    assert all(0.5 <= shrinkage.significance(value) <= 1 for value in observed)
