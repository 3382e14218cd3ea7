"""The influence of given sequences on given queries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from whence.display import summaries
from whence.results.answers import Answer
from whence.results.sequences import TrainingSequence

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True, repr=False)
class ScoreTable(Answer):
    """The influence of given training sequences on given queries.

    ``influence[query][sequence]`` and, if requested, ``layer_influence[query][sequence][layer]`` are in the order of
    the request. ``log_likelihood`` has a value for each query, in nats.
    """

    kind: ClassVar[str] = "score_table"

    query_ids: tuple[str, ...]
    sequences: tuple[TrainingSequence, ...]
    influence: tuple[tuple[float, ...], ...]
    layer_influence: tuple[tuple[tuple[float, ...], ...], ...] | None
    log_likelihood: tuple[float, ...]

    def contradictions(self) -> Iterator[str]:
        """Yield the tables that have not a row for each query and a column for each sequence."""
        width, layers = len(self.sequences), len(self.layers)
        if width and [len(row) for row in self.influence] != [width] * len(self.query_ids):
            yield f"its influences are not one for each of {len(self.query_ids)} queries and {width} sequences"
        if len(self.log_likelihood) != len(self.query_ids):
            yield f"it has {len(self.log_likelihood)} log-likelihoods for {len(self.query_ids)} queries"
        planes = self.layer_influence
        if planes is not None and [[len(row) for row in plane] for plane in planes] != [
            [layers] * width for _ in self.query_ids
        ]:
            yield "its influences by layer are not one for each query, sequence and layer"

    @property
    def sequence_names(self) -> list[str]:
        """The ids of the sequences, or ``text 1``, ``text 2``, … for those without one."""
        numbers = itertools.count(1)
        return [sequence.sequence_id or f"text {next(numbers)}" for sequence in self.sequences]

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each query and a column for each sequence. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.scores(self)

    def to_arrow(self) -> pa.Table:
        """Return a row for each query and sequence. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.scores(self)

    def __repr__(self) -> str:
        return summaries.scores(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.scores(self)
