"""The tail of influences: its exponent, its test, its noise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.samples import pareto, student
from whence.analysis import Distribution, distribution
from whence.analysis.families import compare
from whence.errors import InvalidRequestError
from whence.results import Noise

FEW = 20  # simulations, where the KS test does not matter


@pytest.mark.parametrize("exponent", [1.5, 2.5, 4.0])
def test_the_exponent_is_within_its_stated_error_as_often_as_that_says(exponent):
    fits = [distribution(pareto(seed, exponent, 300), simulations=1) for seed in range(200)]
    within = [abs(fit.exponent - exponent) < 1.96 * fit.standard_error for fit in fits]
    assert 0.90 <= np.mean(within) <= 0.99


def test_the_exponent_is_that_of_the_formula_and_x_min_is_the_next_value():
    values = pareto(0, 2.5, 1000)
    fit = distribution(values, simulations=FEW)
    largest = np.sort(values)[::-1]
    assert (fit.tail, fit.x_min) == (50, largest[50])
    assert fit.exponent == pytest.approx(1 + 50 / np.log(largest[:50] / largest[50]).sum())
    assert fit.standard_error == pytest.approx((fit.exponent - 1) / np.sqrt(50))


@pytest.mark.parametrize(
    ("count", "fraction", "tail"), [(4000, 1e-4, 50), (4000, 0.025, 100), (4000, 0.5, 500), (50, 1e-4, 49)]
)
def test_the_tail_is_the_top_fraction_but_50_to_500_values(count, fraction, tail):
    assert distribution(pareto(0, 2.5, count), top_fraction=fraction, simulations=FEW).tail == tail


def test_samples_of_a_power_law_have_p_values_spread_from_0_to_1():
    p = [distribution(pareto(seed, 2.5, 400), simulations=100, seed=seed).ks_p for seed in range(60)]
    assert 0.35 < np.mean(p) < 0.65
    assert np.mean(np.array(p) < 0.1) < 0.25
    assert max(p) > 0.85


def test_an_exponential_is_rejected_and_found_likelier():
    values = np.random.default_rng(0).exponential(size=5000) + 1
    fit = distribution(values, top_fraction=0.1)
    assert fit.tail == 500
    assert fit.rejected
    exponential = next(other for other in fit.alternatives if other.family == "exponential")
    assert exponential.log_likelihood_ratio < 0
    assert exponential.p < 0.1


def test_a_power_law_is_likelier_than_families_with_light_tails():
    fit = distribution(pareto(1, 2.0, 20_000), top_fraction=0.025, simulations=FEW)
    sure = {other.family for other in fit.alternatives if other.log_likelihood_ratio > 0 and other.p < 0.01}
    assert sure >= {"exponential", "Rayleigh", "Gumbel"}
    assert {other.family for other in fit.alternatives} == sure | {"Weibull", "lognormal"}


def test_a_family_that_holds_the_truth_is_as_likely_as_can_be():
    ratios = np.exp(np.abs(np.random.default_rng(2).normal(size=500)))  # the upper half of a lognormal
    ratio = {other.family: other.log_likelihood_ratio for other in compare(ratios, 1 + 500 / np.log(ratios).sum())}
    assert min(ratio, key=ratio.get) in ("lognormal", "Weibull")
    assert ratio["lognormal"] < 0


@pytest.mark.parametrize("factor", [1e-9, 1e6])
def test_the_scale_does_not_matter(factor):
    values = student(3, 3, 2000)
    plain, scaled = (distribution(of, simulations=FEW) for of in (values, factor * values))
    assert scaled.exponent == pytest.approx(plain.exponent, rel=1e-9)
    assert scaled.ks_p == plain.ks_p
    assert scaled.noise_tail.low == pytest.approx(plain.noise_tail.low, rel=1e-9)
    assert scaled.alternatives[2].log_likelihood_ratio == pytest.approx(plain.alternatives[2].log_likelihood_ratio)


def test_influences_of_the_other_sign_do_not_change_the_fit():
    values = pareto(4, 2.5, 300)
    alone, both = distribution(values, simulations=FEW), distribution([*values, *-values], simulations=FEW)
    assert (both.exponent, both.x_min, both.of_sign) == (alone.exponent, alone.x_min, 300)
    assert distribution(-values, sign=-1, simulations=FEW).exponent == alone.exponent


def test_noise_is_not_sold_as_a_tail():
    studies = [distribution(student(seed, 3, 4000), simulations=1) for seed in range(40)]
    assert np.mean([study.differs_from_noise for study in studies]) <= 0.15
    assert np.mean([study.noise_tail.limit for study in studies]) == pytest.approx(4, abs=0.4)


def test_a_tail_that_noise_does_not_have_differs_from_it():
    values = student(5, 5, 4000)
    values[:60] = 10 * pareto(5, 2.0, 60)
    study = distribution(values, simulations=FEW)
    assert study.differs_from_noise
    assert study.exponent < study.noise_tail.low
    assert study.noise_tail.expected < study.tail / 2


def test_noise_that_is_given_is_used_and_says_where_it_ends():
    noise = Noise(
        scale=1.0, degrees_of_freedom=50.0, positive_threshold=6.0, negative_threshold=None, sequences=4000,
        positive_significant=0, negative_significant=0,
    )  # fmt: skip
    values = student(6, 2, 4000)
    study = distribution(values, noise=noise, simulations=FEW)
    assert (study.noise.degrees_of_freedom, study.noise_tail.limit, study.noise.given) == (50, 51, True)
    assert study.noise_tail.above_threshold == np.sum(np.sort(values)[-50:] >= 6)
    assert distribution(values, noise=noise, sign=-1, simulations=FEW).noise_tail.above_threshold == 0
    assert distribution(values, simulations=FEW).noise_tail.above_threshold is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0, 2.0] * 20, "TOO_FEW_INFLUENCES"),
        ([-1.0] * 500 + [1.0] * 49, "TOO_FEW_INFLUENCES"),
        ([], "TOO_FEW_INFLUENCES"),
        ([1.0] * 60 + [float("nan")], "INVALID_INFLUENCES"),
        ([1.0] * 60 + [float("inf")], "INVALID_INFLUENCES"),
        ([3.0] * 500, "INVALID_INFLUENCES"),
        (np.ones((60, 2)), "INVALID_INFLUENCES"),
    ],
)
def test_what_has_no_tail_is_refused(values, reason):
    with pytest.raises(InvalidRequestError) as caught:
        distribution(values)
    assert caught.value.reason == reason


def test_ties_are_values_like_others():
    fit = distribution(np.round(pareto(7, 2.5, 2000), 1), simulations=FEW)
    assert np.isfinite([fit.exponent, fit.ks_p, fit.ks_distance]).all()


@pytest.mark.parametrize("option", [{"sign": 0}, {"top_fraction": 0}, {"top_fraction": 1.5}, {"simulations": 0}])
def test_an_option_out_of_range_is_named(option):
    with pytest.raises(InvalidRequestError, match=f"{next(iter(option))} is"):
        distribution(pareto(0, 2.5, 100), **option)


def test_a_result_is_one_line_and_plain_data():
    study = distribution(student(8, 3, 500), query_id="capital", simulations=FEW)
    assert repr(study).startswith("Distribution('capital': exponent ")
    assert "\n" not in repr(study)
    assert Distribution.from_dict(study.to_dict()) == study
    frame = study.to_pandas()
    assert frame["share"].is_monotonic_increasing
    assert frame["size"].is_monotonic_decreasing
    assert frame["share"].iloc[0] == 1 / 500


def test_the_same_seed_gives_the_same_result():
    values = student(9, 3, 500)
    assert distribution(values, simulations=FEW, seed=3) == distribution(values, simulations=FEW, seed=3)
    assert distribution(values, simulations=FEW, seed=3) != distribution(values, simulations=FEW, seed=4)
