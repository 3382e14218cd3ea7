"""Draws: uniform, without replacement, and the same however the rows are cut into shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_backends.worker.searching.draws import draw


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(1, 199), max_size=4), st.integers(1, 250))
def test_the_draw_does_not_depend_on_the_shards(seed: int, cuts: list[int], count: int):
    """Broken by: priorities that begin anew with each shard."""
    whole = draw([np.arange(200)], count, seed)
    parts = np.split(np.arange(200), sorted(cuts))
    assert draw(parts, count, seed).positions.tolist() == whole.positions.tolist()
    apart = [draw([part], count, seed) for part in parts]
    pairs = [pair for part in apart for pair in zip(part.priorities, part.positions, strict=True)]
    assert [position for _, position in sorted(pairs)[:count]] == whole.positions.tolist()
    assert len(set(whole.positions.tolist())) == len(whole.positions) == min(count, 200)
    assert whole.searched == 200


def test_a_filter_leaves_the_others_their_priorities():
    """A sequence that is drawn from all is drawn from some of them, too."""
    some = np.arange(0, 200, 2)
    whole, filtered = draw([np.arange(200)], 40, 7), draw([some], 40, 7)
    assert set(whole.positions.tolist()) & set(some.tolist()) <= set(filtered.positions.tolist())


def test_every_sequence_is_drawn_equally_often():
    counts = np.zeros(50)
    for seed in range(2000):
        counts[draw([np.arange(50)], 10, seed).positions] += 1
    assert counts == pytest.approx(400, abs=5 * np.sqrt(2000 * 0.2 * 0.8))
