"""Training sequences in requests: references to the corpus by position or id, or texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from whence.errors import InvalidRequestError, NotFoundError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.corpus import SequenceEncoder
from whence_backends.corpus.shard import SequenceRecord
from whence_backends.worker.requests import wire
from whence_backends.worker.requests.chats import conversation_of, marks_of, warnings_of
from whence_backends.worker.requests.fields import located
from whence_service.rpc.bounds import too_large_text


class RecordedCorpus(Protocol):
    """The part of a corpus that looks up sequences; see :class:`whence_backends.corpus.Corpus`."""

    def record(self, position: int) -> SequenceRecord:
        """Return the record of the sequence at a position that is held here."""
        ...

    def position_of(self, sequence_id: str) -> int | None:
        """Return the position of a sequence, or ``None`` if it is not held here."""
        ...


@dataclass(frozen=True, kw_only=True)
class ResolvedSequence:
    """A sequence, its index in the request, its description without token offsets, and warnings for the caller."""

    index: int
    record: SequenceRecord
    description: attribution_pb2.TrainingSequence
    warnings: tuple[attribution_pb2.Warning, ...] = ()

    def message(self, *, with_offsets: bool) -> attribution_pb2.TrainingSequence:
        """Return the sequence as a message, which is not to be changed."""
        if not with_offsets:
            return self.description
        message = attribution_pb2.TrainingSequence(token_offsets=wire.tensor(self.record.offsets))
        message.MergeFrom(self.description)
        return message

    @property
    def size_bytes(self) -> int:
        """The memory that it takes, but for objects of fixed size. Its text is both in the record and described."""
        arrays = (self.record.token_ids, self.record.weights, self.record.offsets)
        return 2 * self.description.ByteSize() + sum(array.nbytes for array in arrays)


class SequenceResolver:
    """Finds sequences in the corpus, or encodes texts. It reads files: call it off the event loop."""

    def __init__(self, corpus: RecordedCorpus, encoder: SequenceEncoder, *, max_text_bytes: int) -> None:
        self._corpus = corpus
        self._encoder = encoder
        self._max_text_bytes = max_text_bytes

    def resolve(
        self, references: Sequence[worker_service_pb2.SequenceReference], *, skip_unknown: bool
    ) -> list[ResolvedSequence]:
        """Return the sequences in the order of the request, without the unknown ones if they may be skipped.

        Raises :class:`~whence.errors.NotFoundError` (``SEQUENCE_NOT_FOUND``) for one that this worker does
        not hold and :class:`~whence.errors.InvalidRequestError` for a text that cannot be a training
        sequence.
        """
        resolved = []
        for index, reference in enumerate(references):
            field = f"sequences[{index}]"
            try:
                record, warnings = self._find(reference, field)
            except NotFoundError:
                if skip_unknown:
                    continue
                raise
            except InvalidRequestError as error:
                if error.field.startswith(field):
                    raise
                kind = reference.WhichOneof("reference")
                raise located(error, f"{field}.chat.messages" if kind == "chat" else f"{field}.{kind}") from error
            resolved.append(
                ResolvedSequence(index=index, record=record, description=_description(record), warnings=warnings)
            )
        return resolved

    def _find(
        self, reference: worker_service_pb2.SequenceReference, field: str
    ) -> tuple[SequenceRecord, tuple[attribution_pb2.Warning, ...]]:
        """Return a sequence, and warnings for the caller."""
        match kind := reference.WhichOneof("reference"):
            case "position":
                return self._corpus.record(reference.position), ()
            case "sequence_id":
                return self._by_id(reference.sequence_id), ()
            case "text" | "completion" | "chat":
                if (size := reference.ByteSize()) > self._max_text_bytes:
                    raise too_large_text(f"{field}.{kind}", size, self._max_text_bytes)
                return self._given(reference, field)
        raise InvalidRequestError(
            "the sequence has no reference; set one of position, sequence_id, text, completion and chat",
            reason=Reason.MISSING_SEQUENCE_REFERENCE,
            field=field,
        )

    def _by_id(self, sequence_id: str) -> SequenceRecord:
        position = self._corpus.position_of(sequence_id)
        if position is None:
            raise NotFoundError(
                f"this worker holds no sequence {sequence_id!r}; use the sequence_id of an earlier answer, "
                "and check which shards are held",
                reason=Reason.SEQUENCE_NOT_FOUND,
                sequence_id=sequence_id,
            )
        return self._corpus.record(position)

    def _given(
        self, reference: worker_service_pb2.SequenceReference, field: str
    ) -> tuple[SequenceRecord, tuple[attribution_pb2.Warning, ...]]:
        match reference.WhichOneof("reference"):
            case "completion":
                return self._encoder.completion(reference.completion.prompt, reference.completion.completion), ()
            case "chat":
                conversation = conversation_of(reference.chat, f"{field}.chat")
                record, rendered = self._encoder.chat(conversation, marks_of(reference.chat))
                return record, warnings_of(rendered, reference.chat, f"{field}.chat")
        return self._encoder.text(reference.text), ()


def _description(record: SequenceRecord) -> attribution_pb2.TrainingSequence:
    return attribution_pb2.TrainingSequence(
        sequence_id=record.sequence_id,
        document_id=record.document_id,
        source=record.source,
        text=record.text,
        metadata=wire.struct(record.metadata),
        token_count=len(record.token_ids),
    )


def sequence_not_held(position: int) -> NotFoundError:
    """Return the error of a position in no shard that is held here."""
    return NotFoundError(
        f"this worker holds no sequence at position {position}; ask the worker that holds its shard",
        reason=Reason.SEQUENCE_NOT_FOUND,
        position=position,
    )
