"""DATE-LM's metrics, by hand and by their definitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence.errors import InvalidRequestError
from whence.harness.date_lm import fact_metrics, filtering_metrics, relevant_rows, unsafe_rows


def test_recall_and_mrr_are_those_computed_by_hand() -> None:
    metrics = fact_metrics([[4, 3, 2, 1], [1, 2, 3, 4]], [[0, 3], [0, 1]], depth=2)
    assert (metrics.recall, metrics.mrr) == ((1 / 2 + 0) / 2, (1 + 1 / 3) / 2)


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8))
def test_without_equal_scores_the_metrics_are_those_of_a_plain_sort(
    scores: list[int], relevant: set[int], depth: int
) -> None:
    order = sorted(range(8), key=lambda row: -scores[row])
    metrics = fact_metrics([scores], [relevant], depth=depth)
    assert metrics.recall == len(relevant & set(order[:depth])) / len(relevant)
    assert metrics.mrr == 1 / (1 + min(order.index(row) for row in relevant))


def test_a_constant_score_finds_nothing() -> None:
    metrics = fact_metrics([[0.0] * 100], [[0, 1]])
    assert (metrics.recall, metrics.mrr) == (0, 1 / 99)


def test_reference_rows_without_a_fact_in_training_are_left_out_and_counted() -> None:
    metrics = fact_metrics([[2, 1], [2, 1]], [[0], []], depth=1)
    assert (metrics.recall, metrics.matched, metrics.unmatched) == (1, 1, 1)


def test_auprc_is_the_trapezoids_under_precision_and_recall_of_the_mean_scores() -> None:
    metrics = filtering_metrics([[4, 3, 2, 1], [2, 1, 0, -1]], [0, 2])
    assert metrics.auprc == pytest.approx(1 / 2 + (1 / 2 + 2 / 3) / 4)
    assert metrics.average_precision == pytest.approx(1 / 2 + 1 / 3)


def test_the_average_precision_of_a_constant_score_is_the_share_of_unsafe_rows() -> None:
    metrics = filtering_metrics([[0.0] * 10], [3])
    assert [metrics.auprc, metrics.average_precision] == pytest.approx([0.55, 0.1])


def test_a_counterfact_row_is_relevant_if_both_entities_are_the_same() -> None:
    ref = {"counterfactual_entity": "Rome", "true_entity": "Paris"}
    train = [ref, ref | {"true_entity": "Lyon"}, ref | {"counterfactual_entity": "Bonn"}, ref]
    assert relevant_rows("counterfact", train, [ref]) == [[0, 3]]


def test_an_ftrace_row_is_relevant_if_it_states_the_first_fact_of_the_reference_row() -> None:
    train = [{"facts": facts} for facts in (["a", "b"], ["b"], ["a"])]
    assert relevant_rows("ftrace", train, [{"facts": ["b", "a"]}]) == [[0, 1]]


def test_rows_are_unsafe_by_their_type_alone() -> None:
    assert unsafe_rows([{"type": "Unsafe"}, {"type": "Safe"}, {"type": "unsafe"}]) == [0]


def test_a_missing_column_is_named_beside_those_that_are_there() -> None:
    with pytest.raises(InvalidRequestError, match="no true_entity; it has counterfactual_entity") as caught:
        relevant_rows("counterfact", [{"counterfactual_entity": "Rome"}], [])
    assert caught.value.reason == "MISSING_COLUMN"
