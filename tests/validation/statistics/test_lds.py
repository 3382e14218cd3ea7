"""The linear datamodeling score and its joint error, on validations whose score is known."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_validations import World, coverage, halves, world
from whence_backends.validation.statistics.estimate import Estimate, Undetermined
from whence_backends.validation.statistics.jackknife import joint_estimate, mean_estimate
from whence_backends.validation.statistics.lds import Lds, linear_datamodeling_score, predictions


def lds(drawn: World, scores: np.ndarray) -> Lds:
    score = linear_datamodeling_score(drawn.members, scores, drawn.measured)
    assert isinstance(score, Lds)
    return score


def estimated(score: Lds) -> Estimate:
    estimate = score.estimate()
    assert isinstance(estimate, Estimate)
    return estimate


def two_methods(rng: np.random.Generator, *, runs: int, queries: int) -> tuple[Lds, Lds]:
    """Draw a validation in which queries differ in their noise, runs share some, and both methods err."""
    drawn = world(rng, runs=runs, queries=queries, noise=rng.uniform(0.5, 5, size=queries), shared=1.5)
    errors = rng.normal(size=(2, *drawn.truth.shape)) * rng.uniform(0.2, 2, size=(1, queries, 1))
    return lds(drawn, drawn.truth + errors[0]), lds(drawn, drawn.truth + 2 * errors[1])


@pytest.fixture(scope="module")
def known() -> tuple[float, float]:
    """The score of the first method and what it has more than the second, from many queries and runs."""
    rng = np.random.default_rng(1)
    drawn = [two_methods(rng, runs=40, queries=400) for _ in range(25)]
    first, second = (np.mean([pair[place].by_query.mean() for pair in drawn]) for place in (0, 1))
    return float(first), float(first - second)


@pytest.mark.parametrize(("runs", "queries"), [(40, 24), (24, 8), (12, 6)])
def test_intervals_hold_the_true_score_and_the_true_difference(known, rng, runs: int, queries: int):
    drawn = [two_methods(rng, runs=runs, queries=queries) for _ in range(200)]
    scores = [first.estimate() for first, _ in drawn]
    differences = [first.minus(second) for first, second in drawn]
    assert 0.90 <= coverage(scores, known[0]) <= 0.985
    assert 0.90 <= coverage(differences, known[1]) <= 0.985
    # The error is that with which the estimates scatter: not more, as a joint bootstrap says (0.057 of 0.042).
    scatter = np.std([score.value for score in scores])
    assert np.mean([score.standard_error for score in scores]) == pytest.approx(scatter, rel=0.15)


def test_intervals_of_few_runs_and_many_queries_are_too_wide_rather_than_too_narrow(known, rng):
    """A limit that is known: those of differences hold the truth in more than 98.5 % of cases here."""
    drawn = [two_methods(rng, runs=16, queries=30) for _ in range(200)]
    assert 0.90 <= coverage([first.estimate() for first, _ in drawn], known[0]) <= 0.985
    assert coverage([first.minus(second) for first, second in drawn], known[1]) >= 0.95


def test_the_truth_without_noise_scores_one(rng):
    drawn = world(rng, runs=12, queries=3, noise=0.0)
    assert estimated(lds(drawn, drawn.truth)).value == pytest.approx(1)
    assert estimated(lds(drawn, -drawn.truth)).value == pytest.approx(-1)


def test_the_score_is_that_of_the_definition(rng):
    drawn = world(rng, runs=6, queries=2)
    sums = np.array([[drawn.truth[query][drawn.members[run]].sum() for run in range(6)] for query in range(2)])
    np.testing.assert_allclose(predictions(drawn.members, drawn.truth), sums, atol=1e-9)
    order = [np.argsort(np.argsort(rows)) for rows in (sums[0], drawn.measured[:, 0])]
    assert lds(drawn, drawn.truth).by_query[0] == pytest.approx(np.corrcoef(*order)[0, 1])


def test_neither_the_size_of_scores_nor_a_constant_counts(rng):
    drawn = world(rng, runs=12, queries=4)
    as_is = lds(drawn, drawn.truth).by_query
    np.testing.assert_allclose(lds(drawn, 1e-9 * drawn.truth).by_query, as_is)
    np.testing.assert_allclose(lds(drawn, drawn.truth + 3).by_query, as_is)


def test_a_method_compared_with_itself_differs_by_nothing(rng):
    drawn = world(rng, runs=12, queries=4)
    score = lds(drawn, drawn.truth)
    assert score.minus(score) == Estimate(value=0, standard_error=0, low=0, high=0)


def test_a_method_that_says_nothing_scores_nothing_and_is_counted(rng):
    # Of so many, the same sum is rounded in two ways.
    drawn = world(rng, runs=12, queries=4, sequences=601)
    score = lds(drawn, np.stack([drawn.truth[0], *np.full((2, 601), 0.1), np.zeros(601)]))
    assert score.silent == 3
    assert score.by_query[1:].tolist() == [0, 0, 0]


def test_a_query_that_no_subset_changes_is_left_out_and_counted(rng):
    drawn = world(rng, runs=12, queries=4)
    drawn.measured[:, 1] = -3
    score = lds(drawn, drawn.truth)
    assert (score.queries.tolist(), score.constant) == ([0, 2, 3], 1)
    assert score.estimate(np.array([True, True, False, True])) == joint_estimate(
        score.by_query[[0, 2]], score.left_out[:, [0, 2]]
    )


def test_what_cannot_be_said_is_not_said(rng):
    drawn = world(rng, runs=12, queries=4)
    alone = lds(World(members=drawn.members, truth=drawn.truth, measured=drawn.measured[:, :1]), drawn.truth[:1])
    assert alone.estimate() == Undetermined(reason="12 runs and 1 query, of at least 4 and 2 for an error")
    few = linear_datamodeling_score(drawn.members[:2], drawn.truth, drawn.measured[:2])
    assert few == Undetermined(reason="2 runs and 4 queries, of at least 4 and 2 for an error")
    same = linear_datamodeling_score(drawn.members, drawn.truth, np.ones((12, 4)))
    assert same == Undetermined(reason="none of the 4 queries has a log-likelihood that varies with the subset")
    assert isinstance(mean_estimate(np.ones(1)), Undetermined)
    assert isinstance(alone.minus(lds(drawn, drawn.truth)), Undetermined)


def test_halves_are_halves(rng):
    assert (halves(rng, 5, 20).sum(axis=1) == 10).all()
