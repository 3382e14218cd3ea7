"""From messages to results. One that contradicts itself raises ``InternalError`` (``INVALID_ANSWER``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from google.protobuf import json_format

from whence import models, requests, results, tensors
from whence.errors import InternalError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2, model_pb2, tensor_pb2

P = ParamSpec("P")
R = TypeVar("R")


def _consistent(parse: Callable[P, R]) -> Callable[P, R]:
    """Turn the ``ValueError`` of a self-contradicting message into the typed error."""

    @wraps(parse)
    def parse_or_refuse(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return parse(*args, **kwargs)
        except ValueError as error:
            raise InternalError(
                f"the server's answer contradicts itself: {error}; are client and server of one version?",
                reason=Reason.INVALID_ANSWER,
            ) from error

    return parse_or_refuse


@_consistent
def attribution(response: attribution_service_pb2.AttributeResponse) -> results.Attribution:
    """Return the ranking of one query."""
    return _attribution(response.attribution, response.metadata)


@_consistent
def attributions(
    response: attribution_service_pb2.BatchAttributeResponse, queries: int
) -> tuple[results.Attribution, ...]:
    """Return the rankings of a batch of ``queries``, which share what the response says about itself."""
    if len(response.attributions) != queries:
        raise ValueError(f"{len(response.attributions)} rankings for {queries} queries")
    return tuple(_attribution(one, response.metadata) for one in response.attributions)


@_consistent
def event(
    message: attribution_service_pb2.StreamAttributeResponse,
) -> results.Progress | results.Attribution | None:
    """Return what a message of a stream carries; None for a kind that this client does not know."""
    match message.WhichOneof("event"):
        case "partial":
            partial = message.partial
            return results.Progress(
                sequences_scored=partial.sequences_scored,
                sequences_total=partial.sequences_total,
                positive=tuple(_hit(hit, ()) for hit in partial.attribution.positive),
                negative=tuple(_hit(hit, ()) for hit in partial.attribution.negative),
            )
        case "result":
            return _attribution(message.result.attribution, message.result.metadata)
    return None


@_consistent
def self_influences(response: attribution_service_pb2.SelfInfluenceResponse) -> results.SelfInfluences:
    """Return the sequences that influence themselves most."""
    return results.SelfInfluences(
        **_fields(_answer(response.metadata)), hits=tuple(_hit(hit, ()) for hit in response.sequences)
    )


def group_influences(response: attribution_service_pb2.GroupInfluenceResponse) -> results.GroupInfluences:
    """Return the influence of groups."""
    return results.GroupInfluences(
        **_fields(_answer(response.metadata)),
        groups=tuple(map(_group, response.groups)),
        total=_group(response.total),
        log_likelihood=response.log_likelihood,
    )


def _group(proto: attribution_service_pb2.GroupInfluence) -> results.GroupInfluence:
    return results.GroupInfluence(
        name=proto.name,
        sequences=proto.sequences,
        influence=proto.influence,
        standard_error=proto.standard_error,
        sampled=proto.sampled,
    )


@_consistent
def score_table(response: attribution_service_pb2.ScoreResponse, query_ids: Sequence[str]) -> results.ScoreTable:
    """Return the scores; ``query_ids`` are the request's, which the response does not repeat."""
    answer = _answer(response.metadata)
    queries, sequences, layers = len(query_ids), len(response.sequences), len(answer.layers)
    by_layer = _values(response.layer_influence, (queries, sequences, layers), "layer_influence")
    return results.ScoreTable(
        **_fields(answer),
        query_ids=tuple(query_ids),
        sequences=tuple(_sequence(sequence) for sequence in response.sequences),
        influence=_rows(_values(response.influence, (queries, sequences), "influence") or (), sequences),
        layer_influence=_planes(by_layer, sequences, layers) if by_layer else None,
        log_likelihood=_values(response.log_likelihood, (queries,), "log_likelihood") or (),
    )


@_consistent
def explanation(response: attribution_service_pb2.ExplainResponse) -> results.Explanation:
    """Return one influence split over layers and tokens, with the sums over each."""
    answer = _answer(response.metadata)
    spans = _spans(response.sequence)
    shape = (len(answer.layers), len(spans))
    parts = _rows(_values(response.parts, shape, "parts") or (), len(spans))
    by_token = [math.fsum(column) for column in zip(*parts, strict=True)]
    by_layer = [math.fsum(row) for row in parts]
    return results.Explanation(
        **_fields(answer),
        sequence=_sequence(response.sequence),
        influence=response.influence,
        log_likelihood=response.log_likelihood,
        parts=parts,
        tokens=_tokens(response.sequence.text, spans, by_token),
        layer_influence=dict(zip(answer.layers, by_layer, strict=True)),
    )


def model(proto: model_pb2.Model) -> models.Model:
    """Return one served model."""
    limits = proto.limits
    return models.Model(
        name=proto.name,
        model_digest=proto.model_digest,
        factors_digest=proto.factors_digest,
        corpus_digest=proto.corpus_digest,
        layers=tuple(models.Layer(name=layer.name, d_in=layer.d_in, d_out=layer.d_out) for layer in proto.layers),
        parameters=proto.parameters,
        attributed_parameters=proto.attributed_parameters,
        corpus_sequences=proto.corpus_sequences,
        corpus_tokens=proto.corpus_tokens,
        training_set_size=proto.training_set_size,
        training_set_source=proto.training_set_source,
        default_damping_factor=proto.default_damping_factor,
        engine=proto.engine,
        limits=models.Limits(
            max_query_tokens=limits.max_query_tokens,
            max_top_k=limits.max_top_k,
            max_queries=limits.max_queries,
            max_score_sequences=limits.max_score_sequences,
            max_batch_queries=limits.max_batch_queries,
        ),
        shards=tuple(models.Shard(name=shard.shard, replicas=shard.replicas) for shard in proto.shards),
        warnings=_warnings(proto.warnings),
        index=_index(proto.index) if proto.HasField("index") else None,
        gradient_error=proto.gradient_error if proto.HasField("gradient_error") else None,
        dead_layers=tuple(proto.dead_layers),
    )


def _index(proto: model_pb2.Index) -> models.Index:
    return models.Index(
        digest=proto.digest,
        values=proto.values,
        bits=proto.bits,
        bytes_per_sequence=proto.bytes_per_sequence,
        damping_factor=proto.damping_factor,
        kept=proto.kept,
    )


def _attribution(proto: attribution_pb2.Attribution, metadata: attribution_pb2.ResponseMetadata) -> results.Attribution:
    answer = _answer(metadata)
    return results.Attribution(
        **_fields(answer),
        query_id=proto.query_id,
        query_key=proto.query_key,
        log_likelihood=proto.log_likelihood,
        completion_tokens=proto.completion_tokens,
        positive=tuple(_hit(hit, answer.layers) for hit in proto.positive),
        negative=tuple(_hit(hit, answer.layers) for hit in proto.negative),
        positive_recall=_recall(proto.positive_recall) if proto.HasField("positive_recall") else None,
        negative_recall=_recall(proto.negative_recall) if proto.HasField("negative_recall") else None,
        truncation_error=proto.truncation_error,
    )


def _recall(proto: attribution_pb2.RecallEstimate) -> results.Recall:
    return results.Recall(
        recall=proto.recall,
        margin=proto.margin if proto.HasField("margin") else None,
        candidates=proto.candidates,
        reranked=proto.reranked,
    )


def _hit(proto: attribution_pb2.Hit, layers: Sequence[str]) -> results.Hit:
    by_layer = _values(proto.layer_influence, (len(layers),), "layer_influence")
    spans = _spans(proto.sequence)
    by_token = _values(proto.token_influence, (len(spans),), "token_influence")
    return results.Hit(
        **vars(_sequence(proto.sequence)),
        rank=proto.rank,
        influence=proto.influence,
        raw_influence=proto.raw_influence,
        layer_influence=None if by_layer is None else dict(zip(layers, by_layer, strict=True)),
        tokens=None if by_token is None else _tokens(proto.sequence.text, spans, by_token),
    )


def _sequence(proto: attribution_pb2.TrainingSequence) -> results.TrainingSequence:
    return results.TrainingSequence(
        sequence_id=proto.sequence_id,
        document_id=proto.document_id,
        source=proto.source,
        text=proto.text,
        metadata=_whole(json_format.MessageToDict(proto.metadata)),
        token_count=proto.token_count,
    )


def _answer(proto: attribution_pb2.ResponseMetadata) -> results.Answer:
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
            gradient_error=source.gradient_error if source.HasField("gradient_error") else None,
        ),
        timings=_timings(proto.timings),
        warnings=_warnings(proto.warnings),
        sequences_scored=proto.sequences_scored,
        influence_unit=proto.influence_unit,
        layers=tuple(proto.layers),
        search=requests.SEARCH_NAMES.get(proto.search, ""),
        sequences_searched=proto.sequences_searched,
        unreachable_shards=tuple(proto.unreachable_shards),
        corpus_share=proto.corpus_share or 1.0,
    )


def _fields(answer: results.Answer) -> dict[str, Any]:
    # Not dataclasses.asdict: that would turn the nested values into dictionaries too.
    return dict(vars(answer))


def _warnings(protos: Iterable[attribution_pb2.Warning]) -> tuple[results.AnswerWarning, ...]:
    return tuple(results.AnswerWarning(code=proto.code, message=proto.message) for proto in protos)


def _timings(protos: Iterable[attribution_pb2.StageTiming]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for proto in protos:
        seconds[proto.stage] = seconds.get(proto.stage, 0.0) + proto.seconds
    return seconds


def _whole(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return JSON data with 1283.0 as 1283 and sorted keys: the wire knows only doubles, and no order."""
    match value:
        case dict():
            return {key: _whole(value[key]) for key in sorted(value)}
        case list():
            return [_whole(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _values(tensor: tensor_pb2.Tensor, shape: tuple[int, ...], name: str) -> tuple[float, ...] | None:
    """Return a tensor's values in row-major order, None where the tensor was not sent."""
    if not tensor.data_type and not tensor.shape:
        return None
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has the shape {tuple(tensor.shape)} where {shape} belongs")
    return tuple(tensors.unpack(tensor))


def _rows(values: Sequence[float], width: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(values[start : start + width]) for start in range(0, len(values), max(width, 1)))


def _planes(values: Sequence[float], sequences: int, layers: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
    size = sequences * layers
    return tuple(_rows(values[start : start + size], layers) for start in range(0, len(values), max(size, 1)))


def _spans(proto: attribution_pb2.TrainingSequence) -> list[tuple[int, int]]:
    """Return where each token starts and ends in the text, in characters."""
    spans = [(int(start), int(end)) for start, end in tensors.rows(proto.token_offsets)]
    for start, end in spans:
        if not 0 <= start <= end <= len(proto.text):
            raise ValueError(f"a token spans characters {start} to {end} of a text of {len(proto.text)}")
    return spans


def _tokens(
    text: str, spans: Sequence[tuple[int, int]], influences: Sequence[float]
) -> tuple[results.TokenInfluence, ...]:
    return tuple(
        results.TokenInfluence(text=text[start:end], start=start, end=end, influence=influence)
        for (start, end), influence in zip(spans, influences, strict=True)
    )
