"""Merging does not depend on how the corpus was cut or on who answered first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence.errors import InternalError
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.search.rankings import merge_found, merge_rankings

POSITIVE = attribution_pb2.DIRECTION_POSITIVE
NEGATIVE = attribution_pb2.DIRECTION_NEGATIVE
BOTH = attribution_pb2.DIRECTION_BOTH


def candidate(position, raw):
    return worker_service_pb2.Candidate(shard="s", position=position, raw_influence=raw)


def part(pairs, top_k):
    """What a worker answers for its (position, influence) pairs."""
    positive = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:top_k]
    negative = sorted(pairs, key=lambda pair: (pair[1], pair[0]))[:top_k]
    return [
        worker_service_pb2.Candidates(
            positive=[candidate(*pair) for pair in positive], negative=[candidate(*pair) for pair in negative]
        )
    ]


def merged(parts, top_k=3, direction=BOTH):
    (ranking,) = merge_rankings(parts, queries=1, top_k=top_k, direction=direction)
    return [[(c.position, c.raw_influence) for c in side] for side in (ranking.positive, ranking.negative)]


@given(
    influences=st.lists(st.integers(-2, 2), min_size=1, max_size=20),
    cuts=st.lists(st.integers(0, 2), min_size=20, max_size=20),
    top_k=st.integers(1, 8),
)
def test_any_cut_of_the_corpus_merges_to_the_ranking_of_the_whole(influences, cuts, top_k):
    pairs = [(position, float(raw)) for position, raw in enumerate(influences)]
    parts = [part([pair for pair, cut in zip(pairs, cuts, strict=False) if cut == n], top_k) for n in range(3)]
    whole = merged([part(pairs, top_k)], top_k)
    assert all(merged(list(order), top_k) == whole for order in itertools.permutations(parts))


def test_ties_go_to_the_lower_position_at_both_ends():
    parts = [part([(5, 1.0), (9, -1.0)], 2), part([(2, 1.0), (3, -1.0)], 2)]
    assert merged(parts, top_k=2) == [[(2, 1.0), (5, 1.0)], [(3, -1.0), (9, -1.0)]]


@pytest.mark.parametrize(("direction", "sizes"), [(POSITIVE, (1, 0)), (NEGATIVE, (0, 1)), (BOTH, (1, 1))])
def test_only_the_asked_ends_are_ranked(direction, sizes):
    assert tuple(map(len, merged([part([(0, 1.0), (1, -1.0)], 1)], direction=direction))) == sizes


def test_each_ranking_has_its_own_sign_and_zero_is_in_neither():
    """Broken by: filling a ranking up with what is of the other sign."""
    parts = [part([(0, 1.0), (1, 0.0), (2, -0.0)], 3), part([(3, -1.0), (4, 5e-324)], 3)]
    assert merged(parts, top_k=5) == [[(0, 1.0), (4, 5e-324)], [(3, -1.0)]]


def test_a_ranking_that_is_not_of_one_sign_has_all():
    (ranking,) = merge_rankings([part([(0, 1.0), (1, 0.0)], 3)], queries=1, top_k=3, direction=POSITIVE, signed=False)
    assert [one.raw_influence for one in ranking.positive] == [1.0, 0.0]


def test_progress_is_the_sum_over_workers_of_a_total_that_does_not_change():
    latest = [
        worker_service_pb2.ScanResponse(sequences_scored=3, candidates=part([(0, 1.0)], 1)),
        worker_service_pb2.ScanResponse(sequences_scored=4),
    ]
    found = merge_found(latest, queries=1, total=20, top_k=1, direction=POSITIVE)
    assert (found.sequences_scored, found.sequences_total) == (7, 20)
    assert len(found.rankings[0].positive) == 1


@pytest.mark.parametrize("raw", [float("nan"), float("inf"), float("-inf")])
def test_an_influence_without_a_rank_is_an_error(raw):
    with pytest.raises(InternalError) as caught:
        merge_rankings([part([(7, raw)], 1)], queries=1, top_k=1, direction=BOTH)
    assert caught.value.details["position"] == "7"
