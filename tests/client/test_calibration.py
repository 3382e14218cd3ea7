"""How far a value stands out among those of clean items: few are flagged by chance, and few items say little."""

from __future__ import annotations

import math

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
    assert CleanValues([]).largest == math.inf


@pytest.mark.parametrize(("count", "of"), [(0, 5), (0, 60), (3, 60), (30, 60), (60, 60)])
def test_the_interval_is_that_of_scipy(count, of):
    expected = binomtest(count, of).proportion_ci(method="wilson")
    assert wilson(count, of) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_kind_that_is_not_known_of_an_item_has_no_score():
    known = {"nearest_score": 0.5, "token_log_likelihood": -1.0, "error": None}
    clean = [{**known, "overlap": at / 40, "influence_score": None, "clean": True} for at in range(40)]
    scores = Scores(clean).of({**known, "overlap": 2.0, "influence_score": 3.0, "clean": False})
    assert (scores["overlap_p"].p, scores["nearest_p"].p, scores["influence_p"]) == (1 / 41, 1.0, None)
