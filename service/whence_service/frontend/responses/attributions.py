"""Building responses: pure, from what the workers said. Influences are divided by N here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from whence import tensors
from whence.reasons import WarningCode
from whence.v1 import attribution_pb2, attribution_service_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.responses.hit_details import Described
from whence_service.frontend.search.policy import WITH_INDEX
from whence_service.frontend.search.rankings import Candidate, Found, Ranking, RecallOfQuery
from whence_service.frontend.workers.coverage import covered_share
from whence_service.rpc.request_ids import current_request_id

INFLUENCE_UNIT: Final = "nats per added copy"
# What workers say of a model that bears on every influence.
_IN_EVERY_ANSWER: Final = frozenset(
    {
        WarningCode.CORPUS_LARGER_THAN_TRAINING_SET,
        WarningCode.FACTORS_OF_OTHER_CORPUS,
        WarningCode.TRAINING_SETS_DIFFER,
        WarningCode.UNVERIFIED_TOKENIZER,
    }
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer: one attribution for each query, and what it says about itself."""

    attributions: tuple[attribution_pb2.Attribution, ...]
    metadata: attribution_pb2.ResponseMetadata


def training_set_size(context: RequestContext[object]) -> int:
    """Return N, by which influences are divided."""
    return max(1, context.generation.model.training_set_size)


def build_attribution(
    context: RequestContext[object],
    number: int,
    prepared: worker_service_pb2.PreparedQuery,
    ranking: Ranking,
    described: Mapping[int, Described],
    *,
    recall: RecallOfQuery = RecallOfQuery(),  # noqa: B008 - frozen
    truncation_error: float = 0.0,
) -> attribution_pb2.Attribution:
    """Return the attribution of one query; hits that were not described have only their influence."""
    size = training_set_size(context)
    return attribution_pb2.Attribution(
        query_id=context.request.queries[number].query_id,
        query_key=prepared.query_key,
        log_likelihood=prepared.log_likelihood,
        completion_tokens=prepared.completion_tokens,
        positive=_hits(ranking.positive, described, size, sign=1),
        negative=_hits(ranking.negative, described, size, sign=-1),
        positive_recall=recall.positive,
        negative_recall=recall.negative,
        truncation_error=truncation_error,
    )


def build_hits(
    context: RequestContext[object], ranking: Ranking, described: Mapping[int, Described]
) -> list[attribution_pb2.Hit]:
    """Return the hits of a ranking that belongs to no query, as they are."""
    return [
        _hit(rank, candidate.raw_influence, described.get(candidate.position), training_set_size(context))
        for rank, candidate in enumerate(ranking.positive, start=1)
    ]


def build_partial(
    context: RequestContext[object], prepared: worker_service_pb2.PreparedQuery, found: Found
) -> attribution_service_pb2.PartialAttribution:
    """Return what a stream tells of a scan of one query that still goes on."""
    return attribution_service_pb2.PartialAttribution(
        sequences_scored=found.sequences_scored,
        sequences_total=found.sequences_total,
        attribution=build_attribution(context, 0, prepared, found.rankings[0], {}),
    )


def build_metadata(
    context: RequestContext[object],
    *,
    warnings: Iterable[attribution_pb2.Warning],
    sequences_scored: int,
    with_layers: bool,
    sequences_searched: int = 0,
    search: attribution_pb2.Search.ValueType = attribution_pb2.SEARCH_UNSPECIFIED,
    unreachable: Sequence[str] = (),
) -> attribution_pb2.ResponseMetadata:
    """Return what the answer says about itself; built last, so that its timings are complete."""
    generation, model = context.generation, context.generation.model
    return attribution_pb2.ResponseMetadata(
        request_id=current_request_id(),
        provenance=attribution_pb2.Provenance(
            model=generation.id.model,
            model_digest=generation.id.model_digest,
            factors_digest=generation.id.factors_digest,
            corpus_digest=generation.id.corpus_digest,
            damping_factor=context.damping_factor,
            training_set_size=training_set_size(context),
            training_set_source=generation.model.training_set_source,
            engine=", ".join(generation.engines),
            index_digest=generation.id.index_digest if search in WITH_INDEX else "",
            attributed_layers=[generation.layers[index] for index in context.layers],
            gradient_error=model.gradient_error if model.HasField("gradient_error") else None,
        ),
        timings=context.watch.timings(),
        warnings=[*(one for one in generation.model.warnings if one.code in _IN_EVERY_ANSWER), *warnings],
        sequences_scored=sequences_scored,
        influence_unit=INFLUENCE_UNIT,
        layers=generation.layers if with_layers else (),
        search=search,
        sequences_searched=sequences_searched,
        unreachable_shards=unreachable,
        corpus_share=covered_share(generation, unreachable),
    )


def scaled(values: Sequence[float], shape: Sequence[int], size: int) -> tensor_pb2.Tensor:
    """Return raw influences as a float64 tensor in nats per added copy."""
    return tensors.pack([value / size for value in values], shape)


def _hits(
    candidates: Sequence[Candidate], described: Mapping[int, Described], size: int, *, sign: int
) -> list[attribution_pb2.Hit]:
    """Return the hits in order of ``sign`` times influence, those of that sign.

    Where parts were asked for, an influence is what its parts add up to: the pass that split it ran in another batch
    than the search, and in low precision the two differ by more than a reader would overlook.
    """
    found = [(_influence(candidate, described), candidate.position) for candidate in candidates]
    ordered = sorted((pair for pair in found if sign * pair[0] / size > 0), key=lambda pair: (-sign * pair[0], pair[1]))
    return [
        _hit(rank, influence, described.get(position), size)
        for rank, (influence, position) in enumerate(ordered, start=1)
    ]


def _influence(candidate: Candidate, described: Mapping[int, Described]) -> float:
    split = described.get(candidate.position)
    return candidate.raw_influence if split is None or split.raw_influence is None else split.raw_influence


def _hit(rank: int, raw_influence: float, described: Described | None, size: int) -> attribution_pb2.Hit:
    hit = attribution_pb2.Hit(rank=rank, raw_influence=raw_influence, influence=raw_influence / size)
    if described is not None:
        hit.sequence.CopyFrom(described.sequence)
        if described.layers:
            hit.layer_influence.CopyFrom(scaled(described.layers, [len(described.layers)], size))
        if described.tokens:
            hit.token_influence.CopyFrom(scaled(described.tokens, [len(described.tokens)], size))
    return hit
