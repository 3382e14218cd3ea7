"""The responses of the service."""

from __future__ import annotations

import math
from collections.abc import Sequence

from whence import results
from whence.parsing import arrays
from whence.parsing.consistency import consistent
from whence.parsing.hits import parse_hit, parse_sequence, token_influences, token_spans
from whence.parsing.metadata import fields_of, parse_answer
from whence.v1 import attribution_pb2, attribution_service_pb2


@consistent
def attribution(response: attribution_service_pb2.AttributeResponse) -> results.Attribution:
    """Return the ranking of one query."""
    return _attribution(response.attribution, response.metadata)


@consistent
def attributions(response: attribution_service_pb2.BatchAttributeResponse, queries: int) -> results.Attributions:
    """Return the rankings of a batch of ``queries``, which share the metadata of the response."""
    if len(response.attributions) != queries:
        raise ValueError(f"{len(response.attributions)} rankings for {queries} queries")
    return results.Attributions(_attribution(proto, response.metadata) for proto in response.attributions)


@consistent
def event(
    message: attribution_service_pb2.StreamAttributeResponse,
) -> results.Progress | results.Attribution | None:
    """Return the content of a message of a stream, or None for a kind that this client does not know."""
    match message.WhichOneof("event"):
        case "partial":
            partial = message.partial
            return results.Progress(
                sequences_scored=partial.sequences_scored,
                sequences_total=partial.sequences_total,
                positive=tuple(parse_hit(hit, ()) for hit in partial.attribution.positive),
                negative=tuple(parse_hit(hit, ()) for hit in partial.attribution.negative),
            )
        case "result":
            return _attribution(message.result.attribution, message.result.metadata)
    return None


@consistent
def self_influences(response: attribution_service_pb2.SelfInfluenceResponse) -> results.SelfInfluences:
    """Return the sequences that influence themselves most."""
    return results.SelfInfluences(
        **fields_of(parse_answer(response.metadata)),
        hits=tuple(parse_hit(hit, ()) for hit in response.sequences),
    )


def group_influences(response: attribution_service_pb2.GroupInfluenceResponse) -> results.GroupInfluences:
    """Return the influence of groups."""
    return results.GroupInfluences(
        **fields_of(parse_answer(response.metadata)),
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
        signal=proto.signal if proto.HasField("signal") else None,
        signal_low=proto.signal_low if proto.HasField("signal_low") else None,
        signal_high=proto.signal_high if proto.HasField("signal_high") else None,
    )


@consistent
def text_overlaps(response: attribution_service_pb2.TextOverlapResponse, queries: int) -> results.TextOverlaps:
    """Return the overlap of each of ``queries`` queries."""
    if len(response.overlaps) != queries:
        raise ValueError(f"{len(response.overlaps)} overlaps for {queries} queries")
    return results.TextOverlaps(
        **fields_of(parse_answer(response.metadata)), overlaps=tuple(map(_overlap, response.overlaps))
    )


def _overlap(proto: attribution_service_pb2.TextOverlap) -> results.TextOverlap:
    if not proto.shared_ngrams <= proto.ngrams or not proto.ngrams:
        raise ValueError(f"{proto.shared_ngrams} of {proto.ngrams} n-grams")
    return results.TextOverlap(
        query_id=proto.query_id,
        tokens=proto.tokens,
        ngram=proto.ngram,
        ngrams=proto.ngrams,
        shared_ngrams=proto.shared_ngrams,
        longest_run=proto.longest_run,
        sequences=proto.sequences,
        nearest=parse_sequence(proto.nearest) if proto.HasField("nearest") else None,
    )


@consistent
def score_table(response: attribution_service_pb2.ScoreResponse, query_ids: Sequence[str]) -> results.ScoreTable:
    """Return the scores; ``query_ids`` are the request's, which the response does not repeat."""
    answer = parse_answer(response.metadata)
    queries, sequences, layers = len(query_ids), len(response.sequences), len(answer.layers)
    by_layer = arrays.values(response.layer_influence, (queries, sequences, layers), "layer_influence")
    return results.ScoreTable(
        **fields_of(answer),
        query_ids=tuple(query_ids),
        sequences=tuple(parse_sequence(sequence) for sequence in response.sequences),
        influence=arrays.rows(arrays.values(response.influence, (queries, sequences), "influence") or (), sequences),
        layer_influence=arrays.planes(by_layer, sequences, layers) if by_layer else None,
        log_likelihood=arrays.values(response.log_likelihood, (queries,), "log_likelihood") or (),
    )


@consistent
def explanation(response: attribution_service_pb2.ExplainResponse) -> results.Explanation:
    """Return one influence split over layers and tokens, with the sums over each."""
    answer = parse_answer(response.metadata)
    spans = token_spans(response.sequence)
    shape = (len(answer.layers), len(spans))
    parts = arrays.rows(arrays.values(response.parts, shape, "parts") or (), len(spans))
    by_token = [math.fsum(column) for column in zip(*parts, strict=True)]
    by_layer = [math.fsum(row) for row in parts]
    return results.Explanation(
        **fields_of(answer),
        sequence=parse_sequence(response.sequence),
        influence=response.influence,
        log_likelihood=response.log_likelihood,
        parts=parts,
        tokens=token_influences(response.sequence.text, spans, by_token),
        layer_influence=dict(zip(answer.layers, by_layer, strict=True)),
    )


def _attribution(proto: attribution_pb2.Attribution, metadata: attribution_pb2.ResponseMetadata) -> results.Attribution:
    answer = parse_answer(metadata)
    return results.Attribution(
        **fields_of(answer),
        query_id=proto.query_id,
        query_key=proto.query_key,
        log_likelihood=proto.log_likelihood,
        completion_tokens=proto.completion_tokens,
        positive=tuple(parse_hit(hit, answer.layers) for hit in proto.positive),
        negative=tuple(parse_hit(hit, answer.layers) for hit in proto.negative),
        positive_recall=_recall(proto.positive_recall) if proto.HasField("positive_recall") else None,
        negative_recall=_recall(proto.negative_recall) if proto.HasField("negative_recall") else None,
        truncation_error=proto.truncation_error,
        noise=_noise(proto.noise) if proto.HasField("noise") else None,
        positive_significant=proto.positive_significant if proto.HasField("positive_significant") else None,
        negative_significant=proto.negative_significant if proto.HasField("negative_significant") else None,
    )


def _noise(proto: attribution_pb2.Noise) -> results.Noise:
    return results.Noise(
        scale=proto.scale,
        degrees_of_freedom=proto.degrees_of_freedom,
        positive_threshold=proto.positive_threshold if proto.HasField("positive_threshold") else None,
        negative_threshold=proto.negative_threshold if proto.HasField("negative_threshold") else None,
        sequences=proto.sequences,
        positive_significant=proto.positive_significant,
        negative_significant=proto.negative_significant,
        sampled=proto.sampled,
    )


def _recall(proto: attribution_pb2.RecallEstimate) -> results.Recall:
    return results.Recall(
        recall=proto.recall,
        margin=proto.margin if proto.HasField("margin") else None,
        candidates=proto.candidates,
        reranked=proto.reranked,
        stopped_early=proto.stopped_early,
    )
