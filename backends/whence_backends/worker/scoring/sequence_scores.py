"""The influence of given sequences, split over layers and tokens where asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whence_backends.batching import IndexArray, plan_batches
from whence_backends.contract import Detail, Float64Array, TokenSequence
from whence_backends.topk import require_finite
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.preconditioning import Preconditioned
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.stages import Stopwatch


async def score_sequences(
    scorer: BatchScorer,
    preconditioned: Preconditioned,
    sequences: Sequence[TokenSequence],
    *,
    detail: Detail,
    token_budget: int,
    deadline: Deadline,
    stopwatch: Stopwatch,
) -> list[Float64Array]:
    """Return the raw influences of each sequence: [Q], [Q, L] or [Q, L, T] with T its own length.

    Raises :class:`~whence.errors.DeadlineError` and, for an influence that is not finite,
    :class:`~whence.errors.InternalError`.
    """
    influences: dict[int, Float64Array] = {}
    for batch in plan_batches([len(sequence.token_ids) for sequence in sequences], token_budget):
        if deadline.remaining_s() <= 0:
            raise deadline_error(f"after {len(influences)} of {len(sequences)} sequences were scored")
        chosen = [sequences[index] for index in batch]
        scored = await scorer.score(preconditioned, lambda chosen=chosen: chosen, detail, stopwatch)  # type: ignore[misc]
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
