"""Scoring one batch of training sequences, in one job of the engine's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whence_backends.contract import Detail, Engine, Float64Array, TokenSequence
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.runtime.records import BatchRecord, WorkerObserver, ignore
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class _Scored:
    influence: Float64Array
    tokens: int
    padded_tokens: int


class BatchScorer:
    """Scores batches that its callers planned. Each batch is a job of its own, so that requests take turns."""

    def __init__(self, engine: Engine, thread: EngineThread, *, observe: WorkerObserver = ignore) -> None:
        self._engine = engine
        self._thread = thread
        self._observe = observe

    async def score(
        self,
        queries: PreconditionedQueries,
        read: Callable[[], Sequence[TokenSequence]],
        detail: Detail,
        stopwatch: Stopwatch,
    ) -> Float64Array:
        """Return the raw influences [Q, B, ...] of the sequences that ``read`` returns, on the engine's thread, too."""

        def work() -> _Scored:
            sequences = read()
            lengths = [len(sequence.token_ids) for sequence in sequences]
            influence = self._engine.score(queries.handle, sequences, detail)
            return _Scored(
                influence=np.asarray(influence, dtype=np.float64),
                tokens=sum(lengths),
                padded_tokens=max(lengths) * len(lengths),
            )

        scored = await self._thread.run(work, stage="score", stopwatch=stopwatch)
        self._observe(
            BatchRecord(
                sequences=scored.influence.shape[1],
                tokens=scored.tokens,
                padded_tokens=scored.padded_tokens,
                queries=queries.queries,
            )
        )
        return scored.influence
