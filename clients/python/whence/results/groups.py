"""The influence of groups of training sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from whence.display import summaries
from whence.results.answers import Answer

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class GroupInfluence:
    """The influence of a group of training sequences: the first-order effect of their presence in the training set.

    ``name`` is a source, a document's id or a value of metadata, as :class:`whence.Filter` takes it.

    ``signal`` is the sum of the signals of the group's sequences, without their noise, and ``signal_low`` to
    ``signal_high`` an interval of 95 % for what is lost without the group (docs/truth.md has what was measured).
    ``signal_high`` is ``None`` where the group has half of the query's positive signal or more: without it a multiple
    of the sum may be lost. All three are ``None`` where fewer than 20 influences are known.

    ``influence`` is the sum of influences with their noise, an estimate, nearly unbiased for groups of more than a few
    sequences, and ``standard_error`` its standard deviation over samples, which says nothing of retraining: 0 where all
    sequences of the group were scored. ``sampled`` of its ``sequences`` were.
    """

    name: str
    sequences: int
    influence: float
    standard_error: float
    sampled: int
    signal: float | None = None
    signal_low: float | None = None
    signal_high: float | None = None

    @property
    def effect(self) -> float:
        """The signal, or the influence where that is not known: what groups are ordered by."""
        return self.influence if self.signal is None else self.signal


@dataclass(frozen=True, kw_only=True, repr=False)
class GroupInfluences(Answer):
    """The influence of each group of training sequences on an output, most positive signal first, and of all of them.

    Where the grouping value is a list, a sequence is in a group for each item, and once in ``total``.
    """

    kind: ClassVar[str] = "group_influences"

    groups: tuple[GroupInfluence, ...]
    total: GroupInfluence
    log_likelihood: float

    def __iter__(self) -> Iterator[GroupInfluence]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each group, named by its index. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.groups(self)

    def to_arrow(self) -> pa.Table:
        """Return a row for each group. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.groups(self)

    def __getitem__(self, group: int | str) -> GroupInfluence:
        """Return a group by its place or its name. Raises ``KeyError`` for a name that none has."""
        if isinstance(group, int):
            return self.groups[group]
        named = {known.name: known for known in self.groups}
        return named[group]

    def __repr__(self) -> str:
        return summaries.group_influences(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.group_influences(self)
