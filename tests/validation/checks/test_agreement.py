"""The agreement of two rankings, on scores made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from whence_backends.validation.checks.agreement import agreement, best, no_worse, rank_of


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).standard_t(2, (12, 200))


def noisy(scores: np.ndarray, scale: float) -> np.ndarray:
    return scores + np.random.default_rng(1).normal(0, scale, scores.shape)


def test_equal_scores_agree_in_everything(scores):
    same = agreement(scores, scores.copy())
    assert (same.overlap.worst, same.spearman.worst, same.first_changed) == (1, 1, 0)
    assert (same.top_k, same.sequences) == (10, 200)


def test_the_sign_of_all_scores_is_seen(scores):
    flipped = agreement(scores, -scores)
    assert flipped.spearman.median == pytest.approx(-1)
    assert flipped.overlap.mean == 0
    assert flipped.first_changed == 12


def test_the_more_noise_the_less_agreement(scores):
    rows = [agreement(scores, noisy(scores, scale)) for scale in (0, 0.1, 0.5, 2, 50)]
    assert [row.spearman.mean for row in rows] == sorted((row.spearman.mean for row in rows), reverse=True)
    assert [row.overlap.mean for row in rows] == sorted((row.overlap.mean for row in rows), reverse=True)
    assert rows[-1].overlap.mean < 0.3 < 0.8 < rows[1].overlap.mean


def test_ties_go_to_the_lower_position():
    scores = np.array([1.0, 3.0, 3.0, 0.0])
    assert best(scores, 3).tolist() == [1, 2, 0]
    assert [rank_of(scores, column) for column in range(4)] == [3, 1, 2, 4]


def test_of_few_sequences_no_more_than_half_are_the_top(scores):
    assert agreement(scores[:, :4], scores[:, :4]).top_k == 2
    assert agreement(scores[:, :1], scores[:, :1]).top_k == 1


def test_more_noise_than_the_yardstick_is_told_from_as_much(scores):
    yardstick = agreement(scores, noisy(scores, 0.5))
    as_much = agreement(scores, scores + np.random.default_rng(2).normal(0, 0.5, scores.shape))
    assert no_worse(as_much, yardstick)
    assert no_worse(agreement(scores, noisy(scores, 0.1)), yardstick)
    assert not no_worse(agreement(scores, noisy(scores, 2.0)), yardstick)


def test_one_query_is_judged_without_a_standard_error(scores):
    yardstick = agreement(scores[:1], noisy(scores, 0.5)[:1])
    assert no_worse(yardstick, yardstick)
    assert not no_worse(agreement(scores[:1], -scores[:1]), yardstick)
