"""The scale of the noise: right for normal noise, little moved by other influences, unknown of a few."""

from __future__ import annotations

import statistics

import pytest

from shrinkage.made_up import made_up
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.noise import FEWEST, noise_scale


@pytest.mark.parametrize("sequences", [100, 500, 2000])
def test_it_is_the_standard_deviation_of_normal_noise(sequences: int) -> None:
    scales = [noise_scale(Distribution.of(made_up(seed, sequences=sequences).observed)) for seed in range(12)]
    assert statistics.mean(scales) == pytest.approx(1.0, abs=0.05)
    assert statistics.stdev(scales) < 2.2 / sequences**0.5


@pytest.mark.parametrize("size", [10.0, 1e6])
def test_a_few_large_influences_hardly_move_it(size: float) -> None:
    observed = made_up(0, sequences=10_000, share=0.05, size=size).observed
    assert noise_scale(Distribution.of(observed)) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 3.0, 1e200])
def test_it_scales_with_the_influences(scale: float) -> None:
    observed = made_up(1, sequences=1000).observed
    scaled = noise_scale(Distribution.of([scale * value for value in observed]))
    assert scaled == pytest.approx(scale * noise_scale(Distribution.of(observed)), rel=0.01)


def test_it_is_exactly_the_same_multiple_for_powers_of_two() -> None:
    observed = made_up(1, sequences=1000).observed
    assert noise_scale(Distribution.of([8 * value for value in observed])) == 8 * noise_scale(Distribution.of(observed))


def test_sequences_without_a_gradient_do_not_count() -> None:
    observed = made_up(2, sequences=500).observed
    assert noise_scale(Distribution.of([*observed, *[0.0] * 5000])) == noise_scale(Distribution.of(observed))


@pytest.mark.parametrize("observed", [[], [1.0] * (FEWEST - 1), [0.0] * 1000, [*[0.0] * 1000, *[1.0] * 19]])
def test_it_is_unknown_of_too_few_influences(observed: list[float]) -> None:
    assert noise_scale(Distribution.of(observed)) is None


def test_it_is_unknown_of_a_small_sample_however_much_that_stands_for() -> None:
    assert noise_scale(Distribution.of([1.0, -2.0, 3.0], weight=1000)) is None
    assert noise_scale(Distribution.of([float(number) for number in range(1, FEWEST + 1)], weight=0.1)) is None
