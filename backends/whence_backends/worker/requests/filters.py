"""Filters in requests, as masks of the sequences that pass them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from whence.v1 import attribution_pb2
from whence_backends.corpus import Corpus
from whence_backends.corpus.filters import BoolArray, SequenceFilter

_MASKS_KEPT: Final = 64


class FilterMasks:
    """Applies filters to one corpus. Reading metadata is slow: the masks of recent filters are cached."""

    def __init__(self, corpus: Corpus) -> None:
        @lru_cache(maxsize=_MASKS_KEPT)
        def mask(shard: str, wanted: SequenceFilter) -> BoolArray:
            return corpus.matching(shard, wanted)

        self._mask = mask

    async def of(self, message: attribution_pb2.Filter, shards: Sequence[str]) -> Mapping[str, BoolArray] | None:
        """Return the mask of each shard, bool [sequences]; ``None`` where every sequence passes."""
        wanted = SequenceFilter(
            sources=frozenset(message.sources),
            metadata=tuple(sorted(message.metadata.items())),
            first_document_id=message.first_document_id,
            last_document_id=message.last_document_id,
        )
        if wanted.lets_all_through:
            return None
        return await asyncio.to_thread(lambda: {shard: self._mask(shard, wanted) for shard in shards})
