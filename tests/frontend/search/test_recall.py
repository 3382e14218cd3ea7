"""The estimated recall against the true one, on corpora where that is known."""

from __future__ import annotations

import random
import statistics

import pytest

from whence_service.frontend.search.candidates import Candidate
from whence_service.frontend.search.recall import Pair, Recall, estimate_recall, recall_of


def search(
    seed: int,
    *,
    share: float,
    noise: float,
    candidates: int,
    k: int,
    sequences: int = 4000,
    reached: float = 1.0,
    positive: float = 0.5,
):
    """Search a made-up corpus with influences of heavy tails; return the estimated recall and the true one.

    A share of it is ``reached``, and of all influences a share is ``positive``.
    """
    rng = random.Random(seed)
    everything = []
    for _ in range(sequences):
        influence = (1 if rng.random() < positive else -1) * rng.paretovariate(1.5)
        error = noise * rng.uniform(0.5, 2.0)
        everything.append(Pair(estimate=share * influence + rng.gauss(0, error), error=error, influence=influence))
    searched = everything[: round(reached * sequences)]
    proposed = sorted(searched, key=lambda pair: -pair.estimate)[:candidates]
    true = sorted((pair for pair in everything if pair.influence > 0), key=lambda pair: -pair.influence)[:k]
    found = {id(pair) for pair in proposed}
    estimated = estimate_recall(proposed, cut=proposed[-1].estimate, k=k, share=reached)
    return estimated, sum(id(pair) in found for pair in true) / len(true)


@pytest.mark.parametrize(
    ("share", "noise", "candidates", "k"),
    [(0.3, 1.0, 80, 10), (0.3, 1.0, 400, 10), (0.3, 2.0, 200, 20), (0.7, 3.0, 400, 100), (1.0, 0.2, 80, 10)],
)
def test_it_is_right_on_average(share: float, noise: float, candidates: int, k: int) -> None:
    """Broken by: forgetting that what is below the cut was never seen; counting each candidate for one."""
    searched = [search(seed, share=share, noise=noise, candidates=candidates, k=k) for seed in range(12)]
    estimated = statistics.mean(recall.recall for recall, _ in searched)
    assert estimated == pytest.approx(statistics.mean(true for _, true in searched), abs=0.06)


@pytest.mark.parametrize("reached", [0.75, 0.5, 0.2])
def test_it_is_of_the_whole_corpus_where_a_part_was_not_reached(reached: float) -> None:
    """Broken by: telling how much was found of what could be found."""
    searched = [search(seed, share=0.7, noise=0.5, candidates=200, k=20, reached=reached) for seed in range(12)]
    estimated = statistics.mean(recall.recall for recall, _ in searched)
    assert estimated == pytest.approx(statistics.mean(true for _, true in searched), abs=0.08)
    assert estimated <= reached + 0.05


@pytest.mark.parametrize("reached", [1.0, 0.5])
def test_with_fewer_of_the_sign_than_k_it_is_the_share_of_those(reached: float) -> None:
    """Broken by: expecting k sequences where fewer have an influence of that sign."""
    given = {"share": 0.7, "noise": 0.3, "candidates": 300, "k": 400, "positive": 0.02, "reached": reached}
    searched = [search(seed, **given) for seed in range(8)]
    estimated = statistics.mean(recall.recall for recall, _ in searched)
    assert estimated == pytest.approx(statistics.mean(true for _, true in searched), abs=0.08)


def test_what_was_found_in_another_way_adds_to_what_is_found() -> None:
    """Broken by: leaving it out."""
    alone, both, true = [], [], []
    for seed in range(12):
        rng = random.Random(seed)
        everything = []
        for _ in range(4000):
            influence, error = rng.choice((-1, 1)) * rng.paretovariate(1.5), rng.uniform(4.0, 12.0)
            everything.append(Pair(estimate=0.5 * influence + rng.gauss(0, error), error=error, influence=influence))
        everything.sort(key=lambda pair: -pair.estimate)
        proposed = everything[:100]
        others = [pair.influence for pair in everything[100:] if rng.random() < 0.5]
        found = {*others, *(pair.influence for pair in proposed)}
        first = sorted((pair.influence for pair in everything), reverse=True)[:20]
        cut = proposed[-1].estimate
        alone.append(estimate_recall(proposed, cut=cut, k=20).recall)
        both.append(estimate_recall(proposed, cut=cut, k=20, others=others).recall)
        true.append(sum(influence in found for influence in first) / 20)
    assert statistics.mean(both) == pytest.approx(statistics.mean(true), abs=0.08)
    assert statistics.mean(both) > statistics.mean(alone) + 0.05


def proposals(count: int, first: float = 10.0) -> list[Candidate]:
    return [Candidate(position=position, estimate=first - position, error=1.0) for position in range(count)]


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_where_all_that_was_reached_is_scored_it_is_the_share_that_was_reached(share: float) -> None:
    exact = {position: 3.0 - position for position in range(6)}
    told = recall_of(proposals(6), exact, 2, 6, sign=1, share=share)
    assert (told.recall, told.HasField("margin")) == (share, False)


def test_the_margin_is_not_told_of_a_part_of_the_corpus() -> None:
    exact = {position: 10.0 - position for position in range(20)}
    whole = recall_of(proposals(20), exact, 5, 1000, sign=1)
    half = recall_of(proposals(20), exact, 5, 1000, sign=1, share=0.5)
    assert (whole.HasField("margin"), half.HasField("margin")) == (True, False)
    assert half.recall == pytest.approx(whole.recall / 2, abs=0.1)


def test_where_nothing_has_the_sign_nothing_can_be_said() -> None:
    exact = {position: -1.0 - position for position in range(20)}
    assert recall_of(proposals(20), exact, 5, 1000, sign=1).recall == 0.0


def test_it_tells_a_good_answer_from_a_bad_one() -> None:
    searched = [
        search(seed, share=0.3, noise=noise, candidates=100, k=10) for seed in range(10) for noise in (0.2, 1.0, 4.0)
    ]
    pairs = [(recall.recall, true) for recall, true in searched]
    assert statistics.correlation(*zip(*pairs, strict=True)) > 0.8


def test_an_index_that_knows_nothing_finds_nothing() -> None:
    estimated, true = search(0, share=0.0, noise=1.0, candidates=100, k=10)
    assert estimated.recall < 0.2
    assert true < 0.2


def test_the_margin_falls_with_the_rank() -> None:
    margins = [search(0, share=0.5, noise=1.0, candidates=200, k=k)[0].margin for k in (1, 10, 100)]
    assert margins == sorted(margins, reverse=True)


def test_the_unit_of_influence_does_not_matter() -> None:
    rng = random.Random(0)
    pairs = [Pair(estimate=rng.gauss(2, 1), error=1.0, influence=rng.gauss(5, 3)) for _ in range(50)]
    cut = min(pair.estimate for pair in pairs)
    scaled = [
        Pair(estimate=1e-9 * pair.estimate, error=1e-9 * pair.error, influence=1e-9 * pair.influence) for pair in pairs
    ]
    first, second = estimate_recall(pairs, cut=cut, k=10), estimate_recall(scaled, cut=1e-9 * cut, k=10)
    assert (first.recall, first.margin) == pytest.approx((second.recall, second.margin))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_candidates_say_nothing(count: int) -> None:
    pairs = [Pair(estimate=1.0, error=1.0, influence=2.0)] * count
    assert estimate_recall(pairs, cut=0.5, k=10) == Recall(recall=0.0, margin=None)


def test_candidates_that_are_all_alike_do_no_harm() -> None:
    pairs = [Pair(estimate=1.0, error=1.0, influence=2.0)] * 30
    assert 0 <= estimate_recall(pairs, cut=1.0, k=10).recall <= 1
    zeros = [Pair(estimate=0.0, error=0.0, influence=0.0)] * 30
    assert estimate_recall(zeros, cut=0.0, k=10).recall == 0.0


def test_fewer_candidates_than_asked_are_no_more_than_their_share() -> None:
    pairs = [Pair(estimate=50.0 + n, error=1.0, influence=50.0 + n) for n in range(5)]
    assert estimate_recall(pairs, cut=50.0, k=10).recall <= 0.5
