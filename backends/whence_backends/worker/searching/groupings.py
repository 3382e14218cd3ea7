"""Groupings of the sequences of a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.corpus import Corpus
from whence_backends.corpus.groups import GroupedRows

_GROUPINGS_KEPT: Final = 4


class Groupings:
    """Puts the held sequences of a corpus into groups. Reading metadata is slow: the last groupings are cached."""

    def __init__(self, corpus: Corpus) -> None:
        @lru_cache(maxsize=_GROUPINGS_KEPT)
        def of(group_by: str) -> dict[str, GroupedRows]:
            return {shard.name: corpus.grouped(shard.name, group_by) for shard in corpus.shards}

        self._of = of

    def of(
        self, shards: Sequence[str], group_by: str
    ) -> tuple[tuple[tuple[str, ...], ...], Mapping[str, NDArray[np.int32]]]:
        """Return the sets of groups that occur in these shards, and for each shard the set of every row, int32 [n].

        A row may be in several groups, and is in one set of groups.
        """
        held = self._of(group_by)
        sets = sorted(set[tuple[str, ...]]().union(*(held[shard].names for shard in shards)))
        numbers = {names: number for number, names in enumerate(sets)}
        return tuple(sets), {
            shard: np.array([numbers[names] for names in held[shard].names], np.int32)[held[shard].groups]
            for shard in shards
        }
