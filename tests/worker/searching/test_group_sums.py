"""Sums over groups and the draw: of every row, and the same however the rows are cut into shards."""

from __future__ import annotations

import numpy as np
import pytest

from whence.errors import InvalidRequestError
from whence_backends.worker.searching.group_sums import MAX_GROUPS, RowEstimates, sum_groups, uniform

SETS = (("a",), ("b",), ("c",))


def rows(first: int, count: int) -> RowEstimates:
    rng = np.random.default_rng(0)
    estimates, errors, groups = rng.normal(size=1000), rng.uniform(0.1, 1, 1000), rng.integers(0, 3, 1000)
    part = slice(first, first + count)
    return RowEstimates(
        positions=np.arange(first, first + count),
        groups=groups[part].astype(np.int32),
        estimates=estimates[part],
        errors=errors[part],
    )


def test_the_sums_and_the_draw_do_not_depend_on_the_shards():
    """Broken by: random numbers that start anew with each shard."""
    whole = sum_groups(SETS, [rows(0, 1000)], 50, 3)
    parts = sum_groups(SETS, [rows(0, 300), rows(300, 700)], 50, 3)
    apart = [sum_groups(SETS, [part], 50, 3) for part in (rows(0, 300), rows(300, 700))]
    assert whole.drawn.tolist() == parts.drawn.tolist()
    assert len(whole.drawn) == 51  # the last says where the others end
    drawn = [pair for part in apart for pair in zip(part.priority, part.drawn, strict=True)]
    assert [position for _, position in sorted(drawn)[:51]] == whole.drawn.tolist()
    np.testing.assert_allclose(whole.estimate, np.sum([part.estimate for part in apart], axis=0))


def test_sums_are_of_each_group():
    part = rows(0, 1000)
    sums = sum_groups(SETS, [part], 10, 0)
    for group in range(3):
        held = part.groups == group
        assert sums.sequences[group] == held.sum()
        assert sums.estimate[group] == pytest.approx(part.estimates[held].sum())
        scales = np.hypot(part.errors[held], part.estimates[held])
        assert (sums.scale[group], sums.squared_scale[group]) == pytest.approx((scales.sum(), (scales**2).sum()))


def test_a_row_that_is_in_several_groups_counts_in_each_and_once_in_all():
    part = rows(0, 1000)
    sums = sum_groups((("a",), ("a", "b"), ("b", "c")), [part], 10, 0)
    sizes, whole = np.bincount(part.groups), np.bincount(part.groups, part.estimates)
    assert sums.names == ("a", "b", "c")
    assert sums.sequences.tolist() == [sizes[0] + sizes[1], sizes[1] + sizes[2], sizes[2], 1000]
    np.testing.assert_allclose(sums.estimate, [whole[0] + whole[1], whole[1] + whole[2], whole[2], whole.sum()])
    of_each = {0: (0,), 1: (0, 1), 2: (1, 2)}
    assert list(sums.drawn_groups) == [of_each[part.groups[position]] for position in sums.drawn]


def test_a_group_without_rows_is_left_out_and_the_draw_names_those_that_are_there():
    part = rows(0, 1000)
    shifted = RowEstimates(
        positions=part.positions, groups=part.groups + 1, estimates=part.estimates, errors=part.errors
    )
    sums = sum_groups((("none",), *SETS), [shifted], 10, 0)
    assert sums.names == ("a", "b", "c")
    assert [sums.names[group] for (group,) in sums.drawn_groups] == ["abc"[part.groups[p]] for p in sums.drawn]


def test_rows_of_larger_scale_are_drawn_more_often():
    part = rows(0, 1000)
    counts = np.zeros(1000)
    for seed in range(300):
        counts[sum_groups(SETS, [part], 100, seed).drawn[:100]] += 1
    scales = np.hypot(part.errors, part.estimates)
    assert np.corrcoef(counts, scales)[0, 1] > 0.9


def test_random_numbers_are_of_seed_and_position_alone():
    whole = uniform(np.arange(5000), 1)
    assert uniform(np.array([17, 40, 4999]), 1).tolist() == whole[[17, 40, 4999]].tolist()
    assert not np.array_equal(whole, uniform(np.arange(5000), 2))
    assert whole.min() > 0
    assert whole.max() <= 1
    assert np.abs(np.histogram(whole, bins=10)[0] - 500).max() < 100
    assert abs(np.corrcoef(whole[:-1], whole[1:])[0, 1]) < 0.05


def test_a_sequence_of_which_nothing_is_known_can_be_drawn_all_the_same():
    """Broken by: priorities that are infinite, so that the first sequences are the draw."""
    nothing = RowEstimates(
        positions=np.arange(500), groups=np.zeros(500, np.int32), estimates=np.zeros(500), errors=np.zeros(500)
    )
    sums = sum_groups((("a",),), [nothing], 30, 0)
    assert np.isfinite(sums.priority).all()
    assert sums.drawn.max() > 250


def test_too_many_groups_are_no_summary_but_a_filter_may_leave_few():
    many = MAX_GROUPS + 1
    rows = RowEstimates(
        positions=np.arange(many), groups=np.arange(many, dtype=np.int32), estimates=np.ones(many), errors=np.ones(many)
    )
    names = tuple((str(number),) for number in range(many))
    with pytest.raises(InvalidRequestError, match="or filter them") as caught:
        sum_groups(names, [rows], 30, 0)
    assert caught.value.reason == "TOO_MANY_GROUPS"
    few = RowEstimates(
        positions=rows.positions[:9], groups=rows.groups[:9], estimates=rows.estimates[:9], errors=rows.errors[:9]
    )
    assert len(sum_groups(names, [few], 30, 0).names) == 9
