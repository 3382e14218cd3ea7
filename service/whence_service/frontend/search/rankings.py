"""Rankings: merged from those of workers, or made of scored candidates. Pure, whatever the order of the answers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from whence.errors import InternalError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.distributions import merge_distributions
from whence_service.frontend.search.policy import NEGATIVE, POSITIVE
from whence_service.frontend.workers.placement import Generation
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.partial import SampledInfluences

RankedSequence = worker_service_pb2.Candidate


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The best sequences for one query, best first in each direction, which has only influences of its sign."""

    positive: tuple[RankedSequence, ...] = ()
    negative: tuple[RankedSequence, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecallOfQuery:
    """The recall of a query's rankings; ``None`` for a direction that was not requested."""

    positive: attribution_pb2.RecallEstimate | None = None
    negative: attribution_pb2.RecallEstimate | None = None


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The result of a search so far: one ranking per query.

    ``sequences_total`` is the number of sequences to score exactly, ``sequences_searched`` the number compared with an
    index. ``unreachable`` are the shards missing from an answer that may be partial. ``recalls`` has one entry per
    query if rankings may be incomplete, ``truncation_errors`` the error of each query due to a bounded rank, and
    ``distributions`` how its influences are distributed, where all are known; all are empty until the end.

    ``sampled`` has what is known of each query's influences after a search of candidates, of which
    ``sequences_sampled`` more were scored for it, and ``noise_unknown`` why it is not known, in words.
    """

    rankings: tuple[Ranking, ...]
    sequences_scored: int
    sequences_total: int
    sequences_searched: int = 0
    unreachable: tuple[str, ...] = ()
    recalls: tuple[RecallOfQuery, ...] = ()
    truncation_errors: tuple[float, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    sampled: tuple[SampledInfluences | None, ...] = ()
    sequences_sampled: int = 0
    noise_unknown: str = ""


def merge_rankings(
    parts: Sequence[Sequence[worker_service_pb2.Candidates]],
    *,
    queries: int,
    top_k: int,
    direction: attribution_pb2.Direction.ValueType,
    signed: bool = True,
) -> tuple[Ranking, ...]:
    """Return one ranking for each query from the workers' rankings, ``parts[worker][query]``.

    A part may be empty: that of a worker without candidates yet. Ties go to the lower position in the corpus. If not
    ``signed``, the ranking includes influences of either sign. Raises :class:`~whence.errors.InternalError`
    (``NON_FINITE_INFLUENCE``) for NaN.
    """
    return tuple(
        Ranking(
            positive=_best((part[query].positive for part in parts if part), top_k, 1, signed=signed)
            if direction in POSITIVE
            else (),
            negative=_best((part[query].negative for part in parts if part), top_k, -1, signed=signed)
            if direction in NEGATIVE
            else (),
        )
        for query in range(queries)
    )


def merge_found(
    latest: Sequence[worker_service_pb2.ScanResponse],
    *,
    queries: int,
    total: int,
    top_k: int,
    direction: attribution_pb2.Direction.ValueType,
) -> SearchResult:
    """Merge the workers' latest answers. ``total`` is the number of sequences of all workers, answered or not."""
    return SearchResult(
        rankings=merge_rankings(
            [response.candidates for response in latest], queries=queries, top_k=top_k, direction=direction
        ),
        sequences_scored=sum(response.sequences_scored for response in latest),
        sequences_total=total,
        truncation_errors=worst_of([response.truncation_errors for response in latest]),
        distributions=merge_distributions(latest, queries=queries),
    )


def rank_scored(
    generation: Generation,
    influences: Mapping[int, Sequence[float]],
    query: int,
    *,
    top_k: int,
    direction: attribution_pb2.Direction.ValueType,
    sequences: Mapping[int, attribution_pb2.TrainingSequence] = MappingProxyType({}),
) -> Ranking:
    """Return the best scored sequences of a query, for each requested sign. Ties go to the lower position.

    ``influences`` has each position's influence on every query, ``sequences`` what is known of those described.
    """

    def best(sign: int) -> tuple[RankedSequence, ...]:
        scored = ((-sign * row[query], position) for position, row in influences.items() if sign * row[query] > 0)
        return tuple(
            RankedSequence(
                shard=generation.shard_of(position),
                position=position,
                raw_influence=-sign * key,
                sequence=sequences.get(position),
            )
            for key, position in heapq.nsmallest(top_k, scored)
        )

    return Ranking(
        positive=best(1) if direction in POSITIVE else (),
        negative=best(-1) if direction in NEGATIVE else (),
    )


def rank_estimated(generation: Generation, candidates: Candidates, top_k: int) -> Ranking:
    """Return the ranking of one query's candidates by their estimates, of each sign."""

    def best(ranking: Sequence[Candidate], sign: int) -> tuple[RankedSequence, ...]:
        return tuple(
            RankedSequence(
                shard=generation.shard_of(candidate.position),
                position=candidate.position,
                raw_influence=candidate.estimate,
            )
            for candidate in ranking[:top_k]
            if sign * candidate.estimate > 0
        )

    return Ranking(positive=best(candidates.positive, 1), negative=best(candidates.negative, -1))


def worst_of(errors: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """Return the largest truncation error that workers report for each query; empty if none does."""
    known = [of_worker for of_worker in errors if of_worker]
    return tuple(map(max, zip(*known, strict=True))) if known else ()


def _best(
    lists: Iterable[Iterable[RankedSequence]], top_k: int, sign: int, *, signed: bool
) -> tuple[RankedSequence, ...]:
    candidates = [candidate for part in lists for candidate in part]
    for candidate in candidates:
        if not math.isfinite(candidate.raw_influence):
            raise InternalError(
                f"a worker computed the influence {candidate.raw_influence} for the sequence at position "
                f"{candidate.position}; a larger damping factor may help",
                reason=Reason.NON_FINITE_INFLUENCE,
                shard=candidate.shard,
                position=candidate.position,
            )
    if signed:
        candidates = [candidate for candidate in candidates if sign * candidate.raw_influence > 0]
    return tuple(
        sorted(candidates, key=lambda candidate: (-sign * candidate.raw_influence, candidate.position))[:top_k]
    )
