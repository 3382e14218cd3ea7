"""Attributions and their hits: built from rankings and what workers say of the hits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence.v1 import attribution_pb2, attribution_service_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.responses.hit_details import HitDetails
from whence_service.frontend.responses.noise import set_noise
from whence_service.frontend.responses.units import InfluenceScale
from whence_service.frontend.search.noise import QueryNoise
from whence_service.frontend.search.rankings import RankedSequence, Ranking, RecallOfQuery, SearchResult


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer: one attribution for each query, and its metadata."""

    attributions: tuple[attribution_pb2.Attribution, ...]
    metadata: attribution_pb2.ResponseMetadata


def build_attribution(
    context: RequestContext[object],
    number: int,
    prepared: worker_service_pb2.PreparedQuery,
    ranking: Ranking,
    described: Mapping[int, HitDetails],
    *,
    recall: RecallOfQuery = RecallOfQuery(),  # noqa: B008 - frozen
    truncation_error: float = 0.0,
    noise: QueryNoise | None = None,
    significant_only: bool = False,
) -> attribution_pb2.Attribution:
    """Return the attribution of one query; hits that were not described have only their influence."""
    scale = InfluenceScale.of(context.generation)
    attribution = attribution_pb2.Attribution(
        query_id=context.request.queries[number].query_id,
        query_key=prepared.query_key,
        log_likelihood=prepared.log_likelihood,
        completion_tokens=prepared.completion_tokens,
        positive=_hits(ranking.positive, described, scale, sign=1),
        negative=_hits(ranking.negative, described, scale, sign=-1),
        positive_recall=recall.positive,
        negative_recall=recall.negative,
        truncation_error=truncation_error,
    )
    if noise is not None:
        set_noise(attribution, noise, scale, significant_only=significant_only)
    return attribution


def build_hits(
    context: RequestContext[object], ranking: Ranking, described: Mapping[int, HitDetails]
) -> list[attribution_pb2.Hit]:
    """Return the hits of a ranking that belongs to no query, as they are."""
    scale = InfluenceScale.of(context.generation)
    return [
        _hit(rank, candidate.raw_influence, described.get(candidate.position), scale)
        for rank, candidate in enumerate(ranking.positive, start=1)
    ]


def build_partial(
    context: RequestContext[object], prepared: worker_service_pb2.PreparedQuery, result: SearchResult
) -> attribution_service_pb2.PartialAttribution:
    """Return the event of a stream about one query's search that is still running."""
    ranking = result.rankings[0]
    described = {
        candidate.position: HitDetails(sequence=candidate.sequence)
        for candidate in (*ranking.positive, *ranking.negative)
        if candidate.HasField("sequence")
    }
    return attribution_service_pb2.PartialAttribution(
        sequences_scored=result.sequences_scored,
        sequences_total=result.sequences_total,
        attribution=build_attribution(context, 0, prepared, ranking, described),
    )


def _hits(
    candidates: Sequence[RankedSequence], described: Mapping[int, HitDetails], scale: InfluenceScale, *, sign: int
) -> list[attribution_pb2.Hit]:
    """Return the hits in order of ``sign`` times influence, those of that sign.

    Where parts were asked for, an influence is what its parts add up to: the pass that split it ran in another batch
    than the search, and in low precision the two differ by more than a reader would overlook.
    """
    pairs = [(_influence(candidate, described), candidate.position) for candidate in candidates]
    ordered = sorted(
        (pair for pair in pairs if sign * scale.influence(pair[0]) > 0), key=lambda pair: (-sign * pair[0], pair[1])
    )
    return [
        _hit(rank, influence, described.get(position), scale)
        for rank, (influence, position) in enumerate(ordered, start=1)
    ]


def _influence(candidate: RankedSequence, described: Mapping[int, HitDetails]) -> float:
    split = described.get(candidate.position)
    return candidate.raw_influence if split is None or split.raw_influence is None else split.raw_influence


def _hit(rank: int, raw_influence: float, described: HitDetails | None, scale: InfluenceScale) -> attribution_pb2.Hit:
    hit = attribution_pb2.Hit(rank=rank, raw_influence=raw_influence, influence=scale.influence(raw_influence))
    if described is not None:
        hit.sequence.CopyFrom(described.sequence)
        if described.layers:
            hit.layer_influence.CopyFrom(scale.tensor(described.layers, [len(described.layers)]))
        if described.tokens:
            hit.token_influence.CopyFrom(scale.tensor(described.tokens, [len(described.tokens)]))
    return hit
