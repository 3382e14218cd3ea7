"""In-out effects, and what they say by rank."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_validations import World, coverage, world
from whence_backends.validation.statistics.effects import in_out
from whence_backends.validation.statistics.estimate import Estimate, Undetermined
from whence_backends.validation.statistics.ranked import effects_by_rank, right_signs
from whence_backends.validation.statistics.slopes import median_slope
from whence_backends.validation.statistics.units import units_of


def test_an_effect_is_the_difference_of_two_means(rng):
    drawn = world(rng, runs=9, queries=3, sequences=10)
    effects = in_out(drawn.members, drawn.measured)
    for query, sequence in np.ndindex(3, 10):
        holds = drawn.members[:, sequence]
        inside, outside = drawn.measured[holds, query], drawn.measured[~holds, query]
        assert effects.values[query, sequence] == pytest.approx(inside.mean() - outside.mean())
        variance = inside.var(ddof=1) / len(inside) + outside.var(ddof=1) / len(outside)
        assert effects.standard_errors[query, sequence] == pytest.approx(variance**0.5)


def test_effects_are_those_that_were_put_in(rng):
    drawn = world(rng, runs=400, queries=20, noise=1.0)
    effects = in_out(drawn.members, drawn.measured)
    distance = (effects.values - (drawn.truth - drawn.truth.mean(axis=1, keepdims=True))) / effects.standard_errors
    assert distance.std() == pytest.approx(1, abs=0.1)
    assert abs(distance.mean()) < 0.05


def test_effects_without_a_run_are_those_of_the_other_runs(rng):
    drawn = world(rng, runs=9, queries=3, sequences=10)
    rest = in_out(np.delete(drawn.members, 4, axis=0), np.delete(drawn.measured, 4, axis=0))
    np.testing.assert_allclose(in_out(drawn.members, drawn.measured).without(4), rest.values, atol=1e-12)


def test_a_sequence_that_all_runs_hold_has_no_known_effect(rng):
    drawn = world(rng, runs=9, queries=3, sequences=10)
    drawn.members[:, 2] = True
    drawn.members[:, 5] = np.arange(9) == 0
    effects = in_out(drawn.members, drawn.measured)
    assert np.flatnonzero(~effects.known).tolist() == [2, 5]
    assert np.isinf(effects.standard_errors[:, [2, 5]]).all()
    assert not effects.values[:, [2, 5]].any()
    assert not effects.without(0)[:, [2, 5]].any()


def test_sequences_that_always_go_together_are_a_unit():
    members = np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 1]], bool)
    units = units_of(members)
    assert units.of_sequence.tolist() == [0, 1, 0, 1, 2]
    np.testing.assert_array_equal(units.members[:, units.of_sequence], members)
    assert units.sums(np.array([[1.0, 2, 3, 4, 5]])).tolist() == [[4, 6, 5]]


def by_rank(drawn: World, scores: np.ndarray, buckets: tuple) -> list:
    return list(effects_by_rank(scores, in_out(drawn.members, drawn.measured), buckets))


def test_predicted_and_measured_stand_beside_each_other(rng):
    drawn = world(rng, runs=300, queries=20, noise=0.5)
    for row in by_rank(drawn, drawn.truth, ((1, 1), (2, 3), (4, 10), (-3, -2), (-1, -1))):
        ordered = -np.sort(-drawn.truth, axis=1)
        columns = slice(row.first - 1, row.last) if row.first > 0 else slice(60 + row.first, 60 + row.last + 1)
        assert row.predicted.value == pytest.approx(ordered[:, columns].mean())
        assert row.measured.low < row.predicted.value < row.measured.high
        assert row.right_signs.value > 0.9


def test_intervals_hold_the_true_effect_of_a_rank(rng):
    drawn = [world(rng, runs=30, queries=12, noise=4.0, shared=3.0) for _ in range(200)]
    # The mean effect of the first hit, over many queries.
    first = np.sort(rng.standard_t(3, size=(40_000, 60)) / 2, axis=1)
    measured = [by_rank(row, row.truth, ((1, 1),))[0].measured for row in drawn]
    assert 0.90 <= coverage(measured, float((first[:, -1] - first[:, :-1].mean(axis=1)).mean())) <= 0.985


def test_ranks_beyond_the_middle_are_left_out(rng):
    drawn = world(rng, runs=12, queries=4, sequences=21)
    assert [(row.first, row.last) for row in by_rank(drawn, drawn.truth, ((1, 10), (1, 11), (-10, -1), (-11, -1)))] == [
        (1, 10), (-10, -1),
    ]  # fmt: skip


def test_signs_are_right_where_the_scores_are_the_truth_and_at_chance_where_they_are_not(rng):
    drawn = world(rng, runs=300, queries=40, noise=0.2)
    effects = in_out(drawn.members, drawn.measured)
    right = {row.count: row.share for row in right_signs(drawn.truth, effects)}
    assert list(right) == [1, 3, 10, -1, -3, -10]
    assert min(share.value for share in right.values()) > 0.95
    wrong = {row.count: row.share for row in right_signs(-drawn.truth, effects)}
    assert max(share.value for share in wrong.values()) < 0.05
    chance = right_signs(rng.normal(size=drawn.truth.shape), effects)[2].share
    assert chance.low < 0.5 < chance.high


def test_hits_that_claim_no_sign_are_not_counted(rng):
    drawn = world(rng, runs=40, queries=10, noise=0.2)
    effects = in_out(drawn.members, drawn.measured)
    shares = {row.count: row.share for row in right_signs(np.maximum(drawn.truth, 0), effects)}
    assert isinstance(shares[10], Estimate)
    assert shares[-10] == Undetermined(reason="the method gives none of these hits a negative score")


def test_the_slope_is_the_size_of_what_is_predicted(rng):
    drawn = world(rng, runs=60, queries=15, noise=1.0)
    slope = median_slope(drawn.members, drawn.truth / 3, drawn.measured)
    assert slope.low < 3 < slope.high
    assert slope.value == pytest.approx(3, rel=0.1)
    assert isinstance(median_slope(drawn.members, np.ones_like(drawn.truth), drawn.measured), Undetermined)
