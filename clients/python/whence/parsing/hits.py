"""Hits and training sequences, with their tokens and metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from whence import results, tensors
from whence.parsing import arrays
from whence.v1 import attribution_pb2


def parse_hit(proto: attribution_pb2.Hit, layers: Sequence[str]) -> results.Hit:
    """Return a hit. ``layers`` are the tracked layers, in the order of its parts."""
    by_layer = arrays.values(proto.layer_influence, (len(layers),), "layer_influence")
    spans = token_spans(proto.sequence)
    by_token = arrays.values(proto.token_influence, (len(spans),), "token_influence")
    return results.Hit(
        **vars(parse_sequence(proto.sequence)),
        rank=proto.rank,
        influence=proto.influence,
        raw_influence=proto.raw_influence,
        layer_influence=None if by_layer is None else dict(zip(layers, by_layer, strict=True)),
        tokens=None if by_token is None else token_influences(proto.sequence.text, spans, by_token),
        signal=proto.signal if proto.HasField("signal") else None,
        significance=proto.significance if proto.HasField("significance") else None,
    )


def parse_sequence(proto: attribution_pb2.TrainingSequence) -> results.TrainingSequence:
    """Return a training sequence."""
    return results.TrainingSequence(
        sequence_id=proto.sequence_id,
        document_id=proto.document_id,
        source=proto.source,
        text=proto.text,
        metadata=_without_fractions(json_format.MessageToDict(proto.metadata)),
        token_count=proto.token_count,
    )


def token_spans(proto: attribution_pb2.TrainingSequence) -> list[tuple[int, int]]:
    """Return the start and the end of each token in the text, in characters.

    Raises ``ValueError`` for a token outside the text.
    """
    spans = [(int(start), int(end)) for start, end in tensors.rows(proto.token_offsets)]
    for start, end in spans:
        if not 0 <= start <= end <= len(proto.text):
            raise ValueError(f"a token spans characters {start} to {end} of a text of {len(proto.text)}")
    return spans


def token_influences(
    text: str, spans: Sequence[tuple[int, int]], influences: Sequence[float]
) -> tuple[results.TokenInfluence, ...]:
    """Return the influence of each token with its text. ``spans`` and ``influences`` have one item for each."""
    return tuple(
        results.TokenInfluence(text=text[start:end], start=start, end=end, influence=influence)
        for (start, end), influence in zip(spans, influences, strict=True)
    )


def _without_fractions(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return JSON data with 1283.0 as 1283 and with sorted keys, because the wire has only doubles and no order."""
    match value:
        case dict():
            return {key: _without_fractions(value[key]) for key in sorted(value)}
        case list():
            return [_without_fractions(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value
