"""The share of the truly most influential sequences that a re-ranked answer has, estimated from the answer alone. Pure.

The index proposes the sequences whose estimates are above a cut, and these are scored exactly. The estimate of a
sequence of influence x is about b·x, with b the share of the signal in the kept coordinates, plus the known error of
sketching and an unknown spread proportional to x. b and the spread are fitted to the candidates by maximum likelihood
for a truncated normal, since only estimates above the cut are observed. The fit gives each candidate a probability of
being proposed; it represents 1/probability sequences like it, most of which were not proposed (Horvitz and Thompson
1952). The expected rank of a candidate among all sequences is the sum of these weights over the candidates above it. A
ranking has influences of one sign; if fewer than k sequences have that sign, the true top k is all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from whence.v1 import attribution_pb2
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.rankings import RecallOfQuery, SearchResult

# Number of candidates in the fit, evenly chosen: more do not improve it.
_FITTED: Final = 160
_SHARES: Final = tuple(step / 10 for step in range(16))
_SPREADS: Final = (0.01, 0.05, 0.15, 0.4)
# The largest number of sequences that a candidate may represent.
_MOST: Final = 1000.0
_ROOT_TWO: Final = math.sqrt(2)
_FEWEST: Final = 3


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A candidate: its estimated influence with its standard deviation, and its exact influence."""

    estimate: float
    error: float
    influence: float


@dataclass(frozen=True, kw_only=True)
class Recall:
    """The expected share of the true top k that was found, and the distance of the k-th from the cut, in deviations.

    ``margin`` is ``None`` if it is unknown.
    """

    recall: float
    margin: float | None


@dataclass(frozen=True, kw_only=True)
class _Model:
    """estimate ~ N(share · influence, error² + (spread · influence)²)."""

    share: float
    spread: float

    def deviation(self, pair: Pair) -> float:
        return math.hypot(pair.error, self.spread * pair.influence)

    def margin(self, pair: Pair, cut: float) -> float:
        """Return the distance of a sequence's expected estimate from the cut, in standard deviations."""
        return (self.share * pair.influence - cut) / self.deviation(pair)

    def log_likelihood(self, pairs: Sequence[Pair], cut: float) -> float:
        total = 0.0
        for pair in pairs:
            deviation = self.deviation(pair)
            z = (pair.estimate - self.share * pair.influence) / deviation
            total -= z * z / 2 + math.log(deviation) + _log_tail(-self.margin(pair, cut))
        return total


def estimate_recall(
    pairs: Sequence[Pair], *, cut: float, k: int, share: float = 1.0, others: Sequence[float] = ()
) -> Recall:
    """Return the recall at ``k`` of the candidates ``pairs``: all sequences whose estimates are at least ``cut``.

    For the most negative, negate estimates and influences. With fewer than three candidates, or without positive
    influences, the recall is 0. ``share`` is the share of all sequences that was searched; the others are assumed to be
    alike. ``others`` are the influences of sequences that were found in another way. The candidates stand for them, so
    they add to what is found and not to what there is.
    """
    usable = [pair for pair in pairs if pair.error > 0]
    if len(usable) < _FEWEST:
        return Recall(recall=0.0, margin=None)
    unit = sorted(pair.error for pair in usable)[len(usable) // 2]
    scaled = [
        Pair(estimate=pair.estimate / unit, error=pair.error / unit, influence=pair.influence / unit)
        for pair in sorted(usable, key=lambda pair: -pair.influence)
    ]
    model = _fit(_evenly(scaled, _FITTED), cut / unit)
    margins = [model.margin(pair, cut / unit) for pair in scaled if pair.influence > 0]
    if not margins:
        return Recall(recall=0.0, margin=None)
    weights = [
        *((pair.influence, _stands_for(margin, share)) for pair, margin in zip(scaled, margins, strict=False)),
        *((influence / unit, 0.0) for influence in others if influence > 0),
    ]
    in_order = [weight for _, weight in sorted(weights, key=lambda weighed: -weighed[0])]
    recall = _expected_share(in_order, k, are_all=len(margins) < len(scaled))
    return Recall(recall=recall, margin=margins[min(k, len(margins)) - 1])


def with_recall(
    result: SearchResult,
    candidates: Sequence[Candidates],
    exact: Mapping[int, Sequence[float]],
    top_k: int,
    share: float = 1.0,
    stopped: Collection[int] = (),
) -> SearchResult:
    """Return the result with the recall of each query's rankings; ``share`` of the corpus was reached.

    The queries that ``stopped`` did so because they had enough.
    """
    recalls, searched = [], result.sequences_searched
    for query, of_query in enumerate(candidates):
        influences = {position: row[query] for position, row in exact.items()}
        recalls.append(
            RecallOfQuery(
                positive=recall_of(of_query.positive, influences, top_k, searched, sign=1, share=share),
                negative=recall_of(of_query.negative, influences, top_k, searched, sign=-1, share=share),
            )
        )
    for query in stopped:
        for recall in (recalls[query].positive, recalls[query].negative):
            if recall is not None:
                recall.stopped_early = recall.reranked < recall.candidates
    return replace(result, recalls=tuple(recalls))


def recall_of(
    candidates: Sequence[Candidate],
    exact: Mapping[int, float],
    top_k: int,
    searched: int,
    *,
    sign: int,
    share: float = 1.0,
) -> attribution_pb2.RecallEstimate | None:
    """Return the recall of one ranking of one query; ``sign`` -1 for the most negative.

    It refers to the whole corpus: if only a ``share`` of it was searched, the rest is assumed to be alike, and there is
    no margin, since the rest has no cut.
    """
    if not candidates:
        return None
    scored = [candidate for candidate in candidates if candidate.position in exact]
    if len(scored) == searched:  # every reachable sequence
        return attribution_pb2.RecallEstimate(recall=share, candidates=len(candidates), reranked=len(scored))
    estimated = [candidate for candidate in candidates if candidate.error > 0]
    unscored = [sign * candidate.estimate for candidate in estimated if candidate.position not in exact]
    cut = max(unscored, default=sign * estimated[-1].estimate if estimated else 0.0)
    above = {c.position: c for c in estimated if c.position in exact and sign * c.estimate >= cut}
    recall: Recall = estimate_recall(
        [Pair(estimate=sign * c.estimate, error=c.error, influence=sign * exact[c.position]) for c in above.values()],
        cut=cut,
        k=min(top_k, round(searched / share)),
        share=share,
        others=[sign * exact[candidate.position] for candidate in scored if candidate.position not in above],
    )
    return attribution_pb2.RecallEstimate(
        recall=recall.recall,
        margin=recall.margin if share == 1 else None,
        candidates=len(candidates),
        reranked=len(scored),
    )


def _stands_for(margin: float, share: float) -> float:
    """Return the number of sequences of the corpus that a candidate represents."""
    return min(_MOST, 1 / max(_tail(-margin), 1 / _MOST)) / share


def _expected_share(weights: Sequence[float], k: int, *, are_all: bool) -> float:
    """Return the share of the true top k among sequences in the order of their influence.

    Each represents a number of sequences. With ``are_all`` they represent all sequences of their sign, even if these
    are fewer than k.
    """
    expected_rank = 0.0
    for count, weight in enumerate(weights):
        rank = max(expected_rank + weight, count + 1.0)
        if rank >= k:
            return (count + (k - expected_rank) / (rank - expected_rank)) / k
        expected_rank = rank
    return len(weights) / (expected_rank if are_all else k)


def _fit(pairs: Sequence[Pair], cut: float) -> _Model:
    grid = [_Model(share=share, spread=spread) for spread in _SPREADS for share in _SHARES]
    best = max(grid, key=lambda model: model.log_likelihood(pairs, cut))

    def likelihood(share: float) -> float:
        return _Model(share=share, spread=best.spread).log_likelihood(pairs, cut)

    share = _golden_section(likelihood, best.share - 0.1, best.share + 0.1)
    return _Model(share=share, spread=best.spread)


def _golden_section(value: Callable[[float], float], low: float, high: float) -> float:
    """Return the maximizer of ``value`` between ``low`` and ``high``, to about a hundredth of the width."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(9):
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = value(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = value(right)
    return (low + high) / 2


def _evenly(pairs: Sequence[Pair], count: int) -> Sequence[Pair]:
    if len(pairs) <= count:
        return pairs
    return [pairs[number * len(pairs) // count] for number in range(count)]


def _tail(z: float) -> float:
    """Return P(N(0, 1) > z)."""
    return math.erfc(z / _ROOT_TWO) / 2


def _log_tail(z: float) -> float:
    if z < 25:
        return math.log(_tail(z))
    return -z * z / 2 - math.log(z * math.sqrt(2 * math.pi))


def fit_estimates(pairs: Sequence[Pair], cut: float) -> tuple[float, float]:
    """Return b, the share of an influence that its estimate has, and its spread, as a share of the influence.

    They are fitted to the candidates ``pairs``, whose estimates are at least ``cut``.
    """
    unit = sorted(pair.error for pair in pairs)[len(pairs) // 2]
    scaled = [
        Pair(estimate=pair.estimate / unit, error=pair.error / unit, influence=pair.influence / unit)
        for pair in sorted(pairs, key=lambda pair: -pair.influence)
    ]
    model = _fit(_evenly(scaled, _FITTED), cut / unit)
    return model.share, model.spread
