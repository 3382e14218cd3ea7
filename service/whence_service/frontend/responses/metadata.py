"""The metadata of every answer: provenance, timings, warnings and counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from whence.reasons import WarningCode
from whence.v1 import attribution_pb2
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.responses.certificates import certificate_summary
from whence_service.frontend.responses.units import INFLUENCE_UNIT, InfluenceScale
from whence_service.frontend.responses.warnings import withheld_warnings
from whence_service.frontend.search.policy import WITH_INDEX
from whence_service.rpc.identity import current_identity
from whence_service.rpc.request_ids import current_request_id

# Warnings about a model that concern every influence.
_IN_EVERY_ANSWER: Final = frozenset(
    {
        WarningCode.CERTIFICATES_DIFFER,
        WarningCode.CORPUS_LARGER_THAN_TRAINING_SET,
        WarningCode.FACTORS_OF_OTHER_CORPUS,
        WarningCode.TRAINING_SETS_DIFFER,
        WarningCode.UNVERIFIED_TOKENIZER,
    }
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
    """Return an answer's metadata; built last, so that its timings are complete."""
    generation, model = context.generation, context.generation.model
    of_model = (warning for warning in model.warnings if warning.code in _IN_EVERY_ANSWER)
    return attribution_pb2.ResponseMetadata(
        request_id=current_request_id(),
        provenance=attribution_pb2.Provenance(
            model=generation.id.model,
            model_digest=generation.id.model_digest,
            factors_digest=generation.id.factors_digest,
            corpus_digest=generation.id.corpus_digest,
            damping_factor=context.damping_factor,
            training_set_size=InfluenceScale.of(generation).training_set_size,
            training_set_source=model.training_set_source,
            engine=", ".join(generation.engines),
            index_digest=generation.id.index_digest if search in WITH_INDEX else "",
            attributed_layers=[generation.layers[index] for index in context.layers],
            certificate=certificate_summary(model),
            gradient_error=model.gradient_error if model.HasField("gradient_error") else None,
        ),
        timings=context.watch.timings(),
        warnings=[*of_model, *warnings, *withheld_warnings(current_identity())],
        sequences_scored=sequences_scored,
        influence_unit=INFLUENCE_UNIT,
        layers=generation.layers if with_layers else (),
        search=search,
        sequences_searched=sequences_searched,
        unreachable_shards=unreachable,
        corpus_share=generation.share_without(unreachable),
    )
