"""The sequences that a request is about: some shards, and of these the sequences that pass a filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whence_backends.corpus.filters import BoolArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Scope:
    """Shards, and a mask of the sequences of each, bool [sequences]. ``masks`` is ``None`` without a filter."""

    shards: tuple[str, ...]
    masks: Mapping[str, BoolArray] | None = None

    def rows(self, shard: str, sequences: int) -> NDArray[np.int64]:
        """Return the rows of a shard of so many ``sequences`` that are in the scope, ascending, int64 [n]."""
        return np.arange(sequences) if self.masks is None else np.flatnonzero(self.masks[shard])

    def matches(self, other: Scope) -> bool:
        """Whether both have the same shards and the same filter.

        The masks of a filter are kept, so that equal filters have identical masks. A filter whose masks were dropped in
        between and computed anew is taken for another one.
        """
        if (self.masks is None) != (other.masks is None) or self.shards != other.shards:
            return False
        return self.masks is None or all(self.masks[shard] is other.masks[shard] for shard in self.shards)  # type: ignore[index]
