"""One influence, split over layers and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from whence.display import summaries
from whence.results.answers import Answer
from whence.results.sequences import TokenInfluence, TrainingSequence, misplaced

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, repr=False)
class Explanation(Answer):
    """The influence of a training sequence on a query. ``parts[layer][token]`` sum to ``influence``.

    ``tokens`` are the parts summed over layers, ``layer_influence`` the parts summed over tokens.
    """

    kind: ClassVar[str] = "explanation"

    sequence: TrainingSequence
    influence: float
    log_likelihood: float
    parts: tuple[tuple[float, ...], ...]
    tokens: tuple[TokenInfluence, ...]
    layer_influence: dict[str, float]

    def contradictions(self) -> Iterator[str]:
        """Yield tokens that are not in the text, and parts that are not one for each layer and token."""
        yield from misplaced(self.tokens, self.sequence.text)
        if self.tokens and [len(row) for row in self.parts] != [len(self.tokens)] * len(self.layers):
            yield f"its parts are not one for each of {len(self.layers)} layers and {len(self.tokens)} tokens"

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each layer and a column for each token. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.parts(self)

    def to_arrow(self) -> pa.Table:
        """Return a row for each layer and token. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.parts(self)

    def plot(self) -> Figure:
        """Return a map of the influence by layer and token. Needs ``whence[notebook]``."""
        from whence.display import plots

        return plots.explanation(self)

    def __repr__(self) -> str:
        return summaries.explanation(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.explanation(self)
