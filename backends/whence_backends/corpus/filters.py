"""Filters: selecting sequences of a shard by source, metadata and document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from whence_backends.corpus.shard import Shard
from whence_backends.corpus.values import asked_by, values

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SequenceFilter:
    """Conditions on a sequence, all of which must hold. An empty condition always holds.

    The source is one of ``sources``; the metadata has each (name, value) of ``metadata``, read as in :mod:`.values`;
    the document's id lies between ``first_document_id`` and ``last_document_id``, inclusive, in the order of text.
    """

    sources: frozenset[str] = frozenset()
    metadata: tuple[tuple[str, str], ...] = ()
    first_document_id: str = ""
    last_document_id: str = ""

    @property
    def lets_all_through(self) -> bool:
        """True if every condition is empty."""
        return self == SequenceFilter()

    def rows(self, shard: Shard) -> BoolArray:
        """Return the mask of the rows of a shard that pass, bool [sequences]. Metadata is read only if needed."""
        kept = np.ones(shard.info.sequences, bool)
        if self.sources:
            kept &= _where(pc.is_in(shard.column("source"), pa.array(sorted(self.sources), pa.string())))
        if self.first_document_id:
            kept &= _where(pc.greater_equal(shard.column("document_id"), pa.scalar(self.first_document_id)))
        if self.last_document_id:
            kept &= _where(pc.less_equal(shard.column("document_id"), pa.scalar(self.last_document_id)))
        if self.metadata:
            kept &= self._described(shard)
        return kept

    def _described(self, shard: Shard) -> BoolArray:
        asked = [(name, asked_by(text)) for name, text in self.metadata]

        def holds(metadata: Mapping[str, Any]) -> bool:
            return all(not values(metadata, name).isdisjoint(wanted) for name, wanted in asked)

        return np.array(shard.each_metadata(holds), bool)


def _where(mask: Any) -> BoolArray:  # noqa: ANN401 - pyarrow has no types
    selected: BoolArray = mask.combine_chunks().to_numpy(zero_copy_only=False)
    return selected
