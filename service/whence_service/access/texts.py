"""Answers without training data: what is left of a training sequence for callers who may not read texts."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from whence.v1 import attribution_pb2
from whence_service.rpc.message_parts import parts_of

# What a sequence keeps. Fields that are added to the protocol are withheld until they are added here.
KEPT: Final = frozenset({"sequence_id", "document_id", "token_count", "token_offsets"})


def withhold_texts(answer: Message) -> None:
    """Clear texts, sources and metadata of the corpus's sequences, wherever ``answer`` has them.

    The offsets of tokens become 0, which is where they are in an empty text. A sequence without an id is not of the
    corpus: the request brought it, and it stays.
    """
    for sequence in parts_of(answer, attribution_pb2.TrainingSequence):
        _withhold(sequence)


def _withhold(sequence: attribution_pb2.TrainingSequence) -> None:
    if not sequence.sequence_id:
        return
    for field, _ in sequence.ListFields():
        if field.name not in KEPT:
            sequence.ClearField(field.name)  # type: ignore[arg-type] # one of the names that it takes
    if sequence.HasField("token_offsets"):
        sequence.token_offsets.data = bytes(len(sequence.token_offsets.data))
