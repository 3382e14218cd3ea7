"""A preview of a corpus: its first sequences, with the characters that count as trained on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from whence_backends.corpus.chunking import ChunkedSequence
from whence_backends.corpus.ingestion.config import IngestConfig
from whence_backends.corpus.ingestion.ingest import inputs_of
from whence_backends.corpus.ingestion.pipeline import Pipeline
from whence_backends.corpus.ingestion.report import BadRow

PREVIEWED: Final = 3


@dataclass(frozen=True, kw_only=True)
class PreviewedSequence:
    """A sequence as consecutive pieces of its text, each with whether it counts as trained on."""

    sequence_id: str
    tokens: int
    trained_tokens: int
    stretches: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The first sequences, and the bad rows before them."""

    sequences: tuple[PreviewedSequence, ...]
    bad_rows: tuple[BadRow, ...]


def preview(config: IngestConfig, count: int = PREVIEWED) -> Preview:
    """Return the first sequences, of different documents, of the corpus that ``config`` describes, without writing it.

    Raises the errors of :func:`~whence_backends.corpus.ingestion.ingest.ingest`.
    """
    pipeline = Pipeline(config, inputs_of(config).files, lambda _: None)
    firsts = (next(group) for _, group in groupby(pipeline.sequences(), key=lambda sequence: sequence.document_id))
    sequences = tuple(_previewed(sequence) for sequence in islice(firsts, count))
    return Preview(sequences=sequences, bad_rows=tuple(pipeline.tally.first_bad_rows))


def _previewed(sequence: ChunkedSequence) -> PreviewedSequence:
    counted = [False] * len(sequence.text)
    for (start, end), weight in zip(sequence.offsets.tolist(), sequence.weights.tolist(), strict=True):
        if weight:
            counted[start:end] = [True] * (end - start)
    runs = groupby(zip(sequence.text, counted, strict=True), key=lambda pair: pair[1])
    return PreviewedSequence(
        sequence_id=sequence.sequence_id,
        tokens=len(sequence.token_ids),
        trained_tokens=int((sequence.weights[1:] != 0).sum()),
        stretches=tuple(("".join(letter for letter, _ in run), counts) for counts, run in runs),
    )
