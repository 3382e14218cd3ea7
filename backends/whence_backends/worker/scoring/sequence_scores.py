"""The influence of given sequences, split over layers and tokens where asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whence_backends.batching import IndexArray, plan_batches
from whence_backends.contract import Detail, Float64Array, TokenSequence
from whence_backends.topk import require_finite
from whence_backends.worker.runtime.context import CallContext
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries


class SequenceScorer:
    """Scores sequences in batches of at most ``token_budget`` tokens, padding included."""

    def __init__(self, batches: BatchScorer, *, token_budget: int) -> None:
        self._batches = batches
        self._token_budget = token_budget

    async def score(
        self, queries: PreconditionedQueries, sequences: Sequence[TokenSequence], detail: Detail, context: CallContext
    ) -> list[Float64Array]:
        """Return the raw influences of each sequence: [Q], [Q, L] or [Q, L, T] with T its own length.

        Raises :class:`~whence.errors.DeadlineError` and, for an influence that is not finite,
        :class:`~whence.errors.InternalError`.
        """
        influences: dict[int, Float64Array] = {}
        for batch in plan_batches([len(sequence.token_ids) for sequence in sequences], self._token_budget):
            context.require_time(f"after {len(influences)} of {len(sequences)} sequences were scored")
            chosen = [sequences[index] for index in batch]
            scored = await self._batches.score(
                queries,
                lambda chosen=chosen: chosen,  # type: ignore[misc]
                detail,
                context.stopwatch,
            )
            require_finite(scored, batch)
            influences.update(_by_sequence(scored, chosen, batch))
        return [influences[index] for index in range(len(sequences))]


def _by_sequence(
    scored: Float64Array, sequences: Sequence[TokenSequence], batch: IndexArray
) -> dict[int, Float64Array]:
    """Split [Q, B, ...] by sequence and cut the padding off the token axis."""
    parts = {}
    for column, (index, sequence) in enumerate(zip(batch.tolist(), sequences, strict=True)):
        part = scored[:, column]
        parts[index] = np.ascontiguousarray(part[..., : len(sequence.token_ids)] if part.ndim == 3 else part)
    return parts
