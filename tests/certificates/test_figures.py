"""What follows from the figures of a certificate: to which rank hits count, their sizes, and whether negatives do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certificates.examples import EMPTY, LDS, NEGATIVE, POSITIVE, WHOLE, negatives_shown
from whence_backends.certificates import Estimate, RankEffect, RankEffects


def buckets(*measured: tuple[float, float | None]) -> RankEffects:
    """Return buckets of ten ranks with these effects and errors; each was predicted to be 1 nat."""
    positive = tuple(
        RankEffect(first_rank=10 * at + 1, last_rank=10 * at + 10, predicted=1.0, measured=Estimate.of(*effect))
        for at, effect in enumerate(measured)
    )
    return RankEffects(positive=positive)


@pytest.mark.parametrize(
    ("measured", "rank"),
    [
        ([(1.0, 0.4), (0.5, 0.2), (0.1, 0.1)], 20),
        ([(1.0, 0.5), (1.0, 0.1)], 0),  # exactly two standard errors do not count
        ([(1.0, 0.1), (0.0, 0.1), (1.0, 0.1)], 10),  # luck further down does not count
        ([(1.0, None)], 0),  # a value without an error is told from nothing
        ([(-1.0, 0.1)], 0),
        ([], None),
    ],
)
def test_hits_count_up_to_the_first_bucket_that_is_not_told_from_zero(
    measured: list[tuple[float, float | None]], rank: int | None
) -> None:
    """Broken by: taking the last bucket that is; one standard error for two."""
    assert buckets(*measured).valid_to_rank == rank


def test_sizes_are_measured_at_the_first_bucket() -> None:
    ratio = RankEffects(positive=POSITIVE).size_ratio
    assert ratio is not None
    assert (ratio.value, ratio.standard_error) == pytest.approx((3.24 / 2.72, 0.58 / 2.72))
    assert RankEffects().size_ratio is None
    assert RankEffects(positive=(replace(POSITIVE[0], predicted=0.0),)).size_ratio is None


def test_right_signs_are_those_of_the_first_ten_hits_and_need_all_of_them() -> None:
    assert RankEffects(positive=POSITIVE).right_signs == pytest.approx((1.0 + 2 * 0.83 + 7 * 0.62) / 10)
    assert RankEffects(positive=POSITIVE[:2]).right_signs is None
    assert RankEffects(positive=(replace(POSITIVE[0], right_signs=None), *POSITIVE[1:])).right_signs is None


def test_negative_influences_are_shown_by_their_score_and_their_effect_together() -> None:
    """Broken by: or for and."""
    assert negatives_shown().negative_shown is True
    assert WHOLE.negative_shown is False  # a score of 0.059 ± 0.029, and no effect
    score_alone = replace(negatives_shown(), ranks=RankEffects(positive=POSITIVE, negative=NEGATIVE))
    assert score_alone.negative_shown is False
    effect_alone = replace(negatives_shown(), lds=replace(LDS, negative=Estimate.of(0.01, 0.03)))
    assert effect_alone.negative_shown is False


def test_negative_influences_that_were_not_measured_are_neither_shown_nor_not() -> None:
    assert EMPTY.negative_shown is None
    assert replace(WHOLE, lds=replace(LDS, negative=None)).negative_shown is None
    assert replace(WHOLE, ranks=RankEffects(positive=POSITIVE)).negative_shown is None
