"""From references to training sequences: by position, by id, or a text of the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from whence.errors import InvalidRequestError, NotFoundError
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.corpus.shard import SequenceRecord
from whence_backends.worker import wire
from whence_service.rpc.bounds import too_large_text


class RecordedCorpus(Protocol):
    """What looking up sequences needs of a corpus; see :class:`whence_backends.corpus.Corpus`."""

    def record(self, position: int) -> SequenceRecord:
        """Return all that is known of the sequence at a position held here."""
        ...

    def position_of(self, sequence_id: str) -> int | None:
        """Return where a sequence is, or ``None`` where it is not held here."""
        ...


@dataclass(frozen=True, kw_only=True)
class ResolvedSequence:
    """A sequence, and which of the request's it is."""

    index: int
    record: SequenceRecord

    def message(self, *, with_offsets: bool) -> attribution_pb2.TrainingSequence:
        """Return the sequence as it is sent."""
        record = self.record
        return attribution_pb2.TrainingSequence(
            sequence_id=record.sequence_id,
            document_id=record.document_id,
            source=record.source,
            text=record.text,
            metadata=wire.struct(record.metadata),
            token_count=len(record.token_ids),
            token_offsets=wire.tensor(record.offsets) if with_offsets else None,
        )


class SequenceResolver:
    """Finds sequences in the corpus, or makes them of texts. Reads files: call it off the event loop."""

    def __init__(self, corpus: RecordedCorpus, encode: Callable[[str], SequenceRecord], *, max_text_bytes: int) -> None:
        self._corpus = corpus
        self._encode = encode
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
            try:
                record = self._find(reference, f"sequences[{index}]")
            except NotFoundError:
                if skip_unknown:
                    continue
                raise
            resolved.append(ResolvedSequence(index=index, record=record))
        return resolved

    def _find(self, reference: worker_service_pb2.SequenceReference, field: str) -> SequenceRecord:
        match reference.WhichOneof("reference"):
            case "position":
                return self._corpus.record(reference.position)
            case "sequence_id":
                return self._by_id(reference.sequence_id)
            case "text":
                return self._of_text(reference.text, f"{field}.text")
        raise InvalidRequestError(
            "the sequence has no reference; set one of position, sequence_id and text",
            reason="EMPTY_SEQUENCE_REFERENCE",
            field=field,
        )

    def _by_id(self, sequence_id: str) -> SequenceRecord:
        position = self._corpus.position_of(sequence_id)
        if position is None:
            raise NotFoundError(
                f"this worker holds no sequence {sequence_id!r}; use the sequence_id of an earlier answer, "
                "and check which shards are held",
                reason="SEQUENCE_NOT_FOUND",
                sequence_id=sequence_id,
            )
        return self._corpus.record(position)

    def _of_text(self, text: str, field: str) -> SequenceRecord:
        size = len(text.encode())
        if size > self._max_text_bytes:
            raise too_large_text(field, size, self._max_text_bytes)
        try:
            return self._encode(text)
        except InvalidRequestError as error:
            error.field = field  # the encoder does not know where in the request its text was
            raise
