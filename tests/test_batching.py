"""Laws of the batching policy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_backends.batching import plan_batches

LENGTHS = st.lists(st.integers(1, 300), max_size=80)
BUDGET = st.integers(1, 1000)


@given(LENGTHS, BUDGET)
def test_every_sequence_is_in_exactly_one_batch(lengths: list[int], budget: int):
    planned = [index for batch in plan_batches(lengths, budget) for index in batch.tolist()]
    assert sorted(planned) == list(range(len(lengths)))


@given(LENGTHS, BUDGET)
def test_a_batch_stays_within_the_budget_unless_it_is_one_long_sequence(lengths: list[int], budget: int):
    for batch in plan_batches(lengths, budget):
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS, BUDGET)
def test_a_batch_is_only_closed_when_the_next_sequence_does_not_fit(lengths: list[int], budget: int):
    batches = plan_batches(lengths, budget)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * max(lengths[index] for index in batch) > budget


@given(LENGTHS, BUDGET)
def test_the_same_lengths_give_the_same_plan(lengths: list[int], budget: int):
    first, second = plan_batches(lengths, budget), plan_batches(np.array(lengths, np.int32), budget)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_sequences_of_like_length_go_together_longest_first_and_ties_in_order():
    plan = [batch.tolist() for batch in plan_batches([2, 8, 2, 8, 3], 16)]
    assert plan == [[1, 3], [4, 0, 2]]


def test_a_sequence_longer_than_the_budget_goes_alone():
    assert [batch.tolist() for batch in plan_batches([5, 50, 4], 10)] == [[1], [0, 2]]


def test_a_budget_of_no_tokens_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        plan_batches([1], 0)


def test_among_many_of_one_length_the_order_is_that_of_the_corpus():
    lengths = np.random.default_rng(0).integers(1, 4, 3000)
    planned = np.concatenate(plan_batches(lengths, 70))
    assert planned.tolist() == sorted(range(3000), key=lambda index: (-lengths[index], index))
