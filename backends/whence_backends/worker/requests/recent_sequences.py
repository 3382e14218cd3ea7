"""Sequences of the corpus that were asked for lately, kept in memory: a hit is often scored or explained next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from whence.worker.v1 import worker_service_pb2
from whence_backends.worker.requests.sequences import ResolvedSequence, SequenceResolver
from whence_backends.worker.runtime.recently_used import RecentlyUsed

_CAPACITY_BYTES: Final = 1 << 25


class RecentSequences:
    """Resolves the sequences of a request as ``resolver`` does, in a thread unless all of them are kept.

    A corpus never changes, so what is kept is what would be read. Texts of callers are not kept.
    """

    def __init__(self, resolver: SequenceResolver, *, capacity_bytes: int = _CAPACITY_BYTES) -> None:
        self._resolver = resolver
        self._kept = RecentlyUsed[int | str, ResolvedSequence](capacity_bytes)

    def __repr__(self) -> str:
        return f"RecentSequences({self._kept!r})"

    async def resolve(
        self, references: Sequence[worker_service_pb2.SequenceReference], *, skip_unknown: bool
    ) -> list[ResolvedSequence]:
        """Return the sequences; raises as :meth:`.SequenceResolver.resolve`."""
        keys = [_key(reference) for reference in references]
        if (kept := self._all(keys)) is not None:
            return kept
        resolved = await asyncio.to_thread(self._resolver.resolve, references, skip_unknown=skip_unknown)
        for sequence in resolved:
            if (key := keys[sequence.index]) is not None:
                self._kept.put(key, sequence, sequence.size_bytes)
        return resolved

    def _all(self, keys: Sequence[int | str | None]) -> list[ResolvedSequence] | None:
        resolved = []
        for index, key in enumerate(keys):
            sequence = None if key is None else self._kept.get(key)
            if sequence is None:
                return None
            resolved.append(replace(sequence, index=index))
        return resolved


def _key(reference: worker_service_pb2.SequenceReference) -> int | str | None:
    """Return the position or the id that a reference gives."""
    match reference.WhichOneof("reference"):
        case "position":
            return reference.position
        case "sequence_id":
            return reference.sequence_id
    return None
