"""The overlap of queries with training sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from whence.display import summaries
from whence.results.answers import Answer
from whence.results.sequences import TrainingSequence

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class TextOverlap:
    """The n-grams of tokens that a query shares with training sequences.

    ``nearest`` has ``shared_ngrams`` of the query's ``ngrams``, and ``longest_run`` of its ``tokens`` in a row, at
    least ``ngram``. It is ``None``, and they are 0, where no sequence has any; ``sequences`` have at least one.
    """

    query_id: str
    tokens: int
    ngram: int
    ngrams: int
    shared_ngrams: int
    longest_run: int
    sequences: int
    nearest: TrainingSequence | None

    @property
    def share(self) -> float:
        """The share of the query's n-grams that ``nearest`` has: 1 for a copy."""
        return self.shared_ngrams / self.ngrams

    def row(self) -> dict[str, str | int | float | None]:
        """Return the row of a table: the counts, and of the nearest sequence the id, document, source and text."""
        near = self.nearest
        return {
            "query_id": self.query_id,
            "share": self.share,
            "shared_ngrams": self.shared_ngrams,
            "ngrams": self.ngrams,
            "ngram": self.ngram,
            "longest_run": self.longest_run,
            "tokens": self.tokens,
            "sequences": self.sequences,
            "sequence_id": None if near is None else near.sequence_id,
            "document_id": None if near is None else near.document_id,
            "source": None if near is None else near.source,
            "text": None if near is None else near.text,
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class TextOverlaps(Answer):
    """The overlap of each query, in the order of the request, with any sequence of the corpus."""

    kind: ClassVar[str] = "text_overlaps"

    overlaps: tuple[TextOverlap, ...]

    def contradictions(self) -> Iterator[str]:
        """Yield counts of which there cannot be a share."""
        for overlap in self.overlaps:
            if not 0 <= overlap.shared_ngrams <= overlap.ngrams or not overlap.ngrams:
                yield f"{overlap.shared_ngrams} of {overlap.ngrams} n-grams are shared"

    def __iter__(self) -> Iterator[TextOverlap]:
        return iter(self.overlaps)

    def __len__(self) -> int:
        return len(self.overlaps)

    def __getitem__(self, query: int) -> TextOverlap:
        return self.overlaps[query]

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each query. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.overlaps(self)

    def to_arrow(self) -> pa.Table:
        """Return a row for each query. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.overlaps(self)

    def __repr__(self) -> str:
        return summaries.text_overlaps(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.text_overlaps(self)
