"""Counting influences by bin: as the front end's bins have it, however the influences arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_backends.worker.scoring import influence_counts
from whence_backends.worker.scoring.influence_counts import InfluenceCounts
from whence_service.shrinkage.distribution import Distribution
from worker.harness import Running, ask, drain

finite = st.floats(allow_nan=False, allow_infinity=False)


def counted(influence: np.ndarray, cuts: list[int]) -> list[dict[int, int]]:
    """Count influences [Q, N] in batches that end at the cuts."""
    counts = InfluenceCounts(len(influence))
    for batch in np.split(influence, sorted(cuts), axis=1):
        counts.add(batch)
    every = [counts.of(query) for query in range(len(influence))]
    return [dict(zip(found.bins.tolist(), found.counts.tolist(), strict=True)) for found in every]


@given(st.lists(st.tuples(finite, finite), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_bins_and_counts_are_those_of_plain_python_in_whatever_batches(pairs, cuts: list[int]) -> None:
    """Broken by: a bin for each exponent; counting a query's influences for the next."""
    influence = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    assert counted(influence, cuts) == [Distribution.of(row).weights for row in influence.tolist()]


def test_counts_that_wait_are_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    influence = np.random.default_rng(0).standard_normal((3, 500))
    expected = counted(influence, [])
    monkeypatch.setattr(influence_counts, "_WAITING", 7)
    assert counted(influence, list(range(0, 500, 11))) == expected


async def test_a_scan_ends_with_the_distribution_of_all_influences(tiny: Running) -> None:
    """Broken by: counting the best alone; counting one batch."""
    queries = (ask(), ask("", "storm"))
    last = await tiny.scan(*queries, top_k=100)
    for query, distribution in enumerate(last.distributions):
        influences = [candidate.raw_influence for candidate in last.candidates[query].positive]
        counts = dict(zip(distribution.bins, distribution.sequences, strict=True))
        assert counts == Distribution.of(influences).weights
        assert sum(counts.values()) == 69


async def test_only_the_last_message_of_a_scan_has_a_distribution(tiny: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("whence_backends.worker.scoring.scan.PROGRESS_INTERVAL_S", 0.0)
    responses = await drain(tiny.stub.Scan(tiny.scan_request(ask(), progress=True)))
    assert [len(response.distributions) for response in responses] == [*[0] * (len(responses) - 1), 1]
