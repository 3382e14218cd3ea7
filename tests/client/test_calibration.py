"""How far a value stands out among those of clean items: few are flagged by chance, and few items say little."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from whence.contamination.calibration import CleanValues, wilson
from whence.contamination.scores import Scores

VALUES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=30)


@given(values=VALUES, seed=st.integers(0, 99))
def test_of_items_that_are_all_clean_no_more_get_a_score_than_it_says(values, seed):
    """Broken by: a score of 0; ties that count for the item."""
    others = [CleanValues(values[:at] + values[at + 1 :]) for at in range(len(values))]
    scores = [known.tail(value) for known, value in zip(others, values, strict=True) if len(known)]
    for level in {tail.p for tail in scores}:
        assert sum(tail.p <= level for tail in scores) <= level * len(values) + 1e-9


@given(values=VALUES, value=st.integers(-1, 6).map(float), larger=st.integers(0, 3))
def test_what_stands_out_more_has_no_larger_score_and_lies_in_its_interval(values, value, larger):
    known = CleanValues(values)
    less, more = known.tail(value), known.tail(value + larger)
    assert more.p <= less.p
    assert less.low <= sum(other >= value for other in values) / len(values) <= less.high
    assert 1 / (1 + len(values)) <= less.p <= 1


@given(values=VALUES, at=st.integers(0, 29))
def test_a_clean_item_is_set_against_the_others(values, at):
    value = values[at % len(values)]
    others = [other for number, other in enumerate(values) if number != at % len(values)]
    assert CleanValues(values).tail(value, own=True) == CleanValues(others).tail(value)


def test_without_clean_items_there_is_no_score():
    assert CleanValues([]).tail(3.0) is None
    assert CleanValues([3.0]).tail(3.0, own=True) is None
    assert scores_of((1.0, 2.0), [])["p"] is None
    assert CleanValues([]).largest == math.inf


@pytest.mark.parametrize(("count", "of"), [(0, 5), (0, 60), (3, 60), (30, 60), (60, 60)])
def test_the_interval_is_that_of_scipy(count, of):
    expected = binomtest(count, of).proportion_ci(method="wilson")
    assert wilson(count, of) == pytest.approx((expected.low, expected.high), abs=1e-12)


def scores_of(item: tuple[float, float | None], clean: Sequence[tuple[float, float | None]]):
    """The scores of an item with an overlap and an influence, among clean ones."""
    rows = [evidence(values, clean=True) for values in clean]
    return Scores(rows).of(evidence(item, clean=False))


def evidence(values: tuple[float, float | None], *, clean: bool) -> dict[str, object]:
    overlap, influence = values
    likely = {"nearest_score": influence, "token_log_likelihood": -1.0}
    return {"overlap": overlap, "influence_score": influence, **likely, "clean": clean, "error": None}


def test_several_kinds_of_evidence_are_not_worth_more_than_chance():
    """Broken by: the smaller of two scores, or their product, as the score."""
    rng = np.random.default_rng(0)
    draws = [rng.normal(size=(51, 2)).tolist() for _ in range(600)]
    scores = [scores_of(tuple(item), [tuple(pair) for pair in clean])["p"].p for item, *clean in draws]
    assert np.mean(np.array(scores) <= 0.2) == pytest.approx(0.2, abs=0.04)


def test_evidence_of_both_kinds_stands_out_more_than_of_one():
    clean = [(at / 40, (at * 7 % 40) / 40) for at in range(40)]
    one, both = scores_of((2.0, 0.5), clean)["p"], scores_of((2.0, 2.0), clean)["p"]
    assert both.p == 1 / 41 < one.p < 0.2


def test_a_kind_that_is_not_known_says_nothing():
    clean = [(at / 40, None) for at in range(40)]
    scores = scores_of((2.0, None), clean)
    assert (scores["influence_p"], scores["p"].p, scores["overlap_p"].p) == (None, 1 / 41, 1 / 41)
