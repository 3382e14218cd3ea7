"""A re-rank under way: the candidates of one call, in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whence_backends.batching import IndexArray
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.runtime.context import CallContext
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries, Preconditioning
from whence_backends.worker.scoring.rescore_batches import Rescored
from whence_service.rpc.identity import current_identity


@dataclass(frozen=True, kw_only=True, eq=False)
class Composition:
    """The preconditioned queries of some calls, and the row of each by its key."""

    rows: Mapping[str, int]
    preconditioned: PreconditionedQueries


class PendingRescore:
    """The candidates of one call in batches, the most promising first, and its scores that are ready.

    State: the positions that are left, the scores that were not fetched yet, and the composition that its queries were
    last preconditioned in. ``alone``: a shared batch failed, so that it shares no more. ``abandoned``: its caller has
    left. Owner: the event loop.
    """

    def __init__(
        self,
        gradients: Sequence[NamedGradient],
        preconditioning: Preconditioning,
        batches: Sequence[IndexArray],
        context: CallContext,
    ) -> None:
        self.gradients = tuple(gradients)
        self.names = {query.key for query in self.gradients}
        self.preconditioning = preconditioning
        self.context = context
        self.caller = current_identity()
        self.total = sum(map(len, batches))
        self.ready: asyncio.Queue[Rescored | Exception] = asyncio.Queue()
        self.abandoned = False
        self.alone = False
        self.composition: Composition | None = None
        self._batches = deque(batches)
        self._left = {position for batch in batches for position in batch.tolist()}

    def __repr__(self) -> str:
        return f"PendingRescore({len(self.gradients)} queries, {self.left} of {self.total} left)"

    @property
    def left(self) -> int:
        """The number of positions that are still to be scored."""
        return len(self._left)

    def next_batch(self) -> IndexArray:
        """Return the next batch, without positions that were scored already; empty where none is left."""
        while self._batches:
            batch = self._batches[0]
            kept = batch[self.wanted(batch)]
            if len(kept):
                return kept
            self._batches.popleft()
        return np.zeros(0, np.int64)

    def wanted(self, positions: IndexArray) -> IndexArray:
        """Return the indices of the positions that are still to be scored for this call."""
        return np.array([i for i, position in enumerate(positions.tolist()) if position in self._left], np.int64)

    def drop(self, positions: IndexArray) -> None:
        """Remove positions that were scored."""
        self._left.difference_update(positions.tolist())
