"""What every answer says about itself: provenance, timings, warnings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from whence import results
from whence.parsing.certificates import parse_summary
from whence.requests import SEARCH_NAMES
from whence.v1 import attribution_pb2


def parse_answer(proto: attribution_pb2.ResponseMetadata) -> results.Answer:
    """Return the fields that every answer has."""
    source = proto.provenance
    return results.Answer(
        request_id=proto.request_id,
        provenance=results.Provenance(
            model=source.model,
            model_digest=source.model_digest,
            factors_digest=source.factors_digest,
            corpus_digest=source.corpus_digest,
            damping_factor=source.damping_factor,
            training_set_size=source.training_set_size,
            training_set_source=source.training_set_source,
            engine=source.engine,
            index_digest=source.index_digest,
            attributed_layers=tuple(source.attributed_layers),
            certificate=parse_summary(source.certificate),
            gradient_error=source.gradient_error if source.HasField("gradient_error") else None,
        ),
        timings=_timings(proto.timings),
        warnings=parse_warnings(proto.warnings),
        sequences_scored=proto.sequences_scored,
        influence_unit=proto.influence_unit,
        layers=tuple(proto.layers),
        search=SEARCH_NAMES.get(proto.search, ""),
        sequences_searched=proto.sequences_searched,
        unreachable_shards=tuple(proto.unreachable_shards),
        corpus_share=proto.corpus_share or 1.0,
    )


def fields_of(answer: results.Answer) -> dict[str, Any]:
    """Return the fields by name, with nested dataclasses as they are, unlike ``dataclasses.asdict``."""
    return dict(vars(answer))


def parse_warnings(protos: Iterable[attribution_pb2.Warning]) -> tuple[results.AnswerWarning, ...]:
    """Return the warnings of an answer or of a model."""
    return tuple(results.AnswerWarning(code=proto.code, message=proto.message) for proto in protos)


def _timings(protos: Iterable[attribution_pb2.StageTiming]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for proto in protos:
        seconds[proto.stage] = seconds.get(proto.stage, 0.0) + proto.seconds
    return seconds
