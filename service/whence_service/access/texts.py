"""Answers without training data: what is left of a training sequence for callers who may not read texts."""

from __future__ import annotations

from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from whence.v1 import attribution_pb2

_SEQUENCE: Final = attribution_pb2.TrainingSequence.DESCRIPTOR.full_name
# What a sequence keeps. Fields that are added to the protocol are withheld until they are added here.
KEPT: Final = frozenset({"sequence_id", "document_id", "token_count", "token_offsets"})


def withhold_texts(answer: Message) -> None:
    """Clear texts, sources and metadata of the corpus's sequences, wherever ``answer`` has them.

    The offsets of tokens become 0, which is where they are in an empty text. A sequence without an id is not of the
    corpus: the request brought it, and it stays.
    """
    if answer.DESCRIPTOR.full_name == _SEQUENCE:
        _withhold(answer)
        return
    for field, value in answer.ListFields():
        if field.message_type is not None and _leads_to_sequences(field.message_type):
            for part in (value,) if isinstance(value, Message) else value:
                withhold_texts(part)


def _withhold(sequence: Message) -> None:
    if not getattr(sequence, "sequence_id"):  # noqa: B009 - of any message
        return
    for field, _ in sequence.ListFields():
        if field.name not in KEPT:
            sequence.ClearField(field.name)
    if sequence.HasField("token_offsets"):
        offsets = getattr(sequence, "token_offsets")  # noqa: B009
        offsets.data = bytes(len(offsets.data))


@cache
def _leads_to_sequences(descriptor: Descriptor, above: frozenset[str] = frozenset()) -> bool:
    name = descriptor.full_name
    return name == _SEQUENCE or (
        name not in above
        and any(
            _leads_to_sequences(field.message_type, above | {name})
            for field in descriptor.fields
            if field.message_type is not None
        )
    )
