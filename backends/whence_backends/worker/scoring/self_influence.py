"""The influence of a sequence on itself: its own gradient is the query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whence_backends.contract import Engine, Float64Array, QueryGradient, TokenSequence
from whence_backends.topk import require_finite
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True, eq=False)
class SelfInfluence:
    """The raw influence of a sequence on itself, float64 [1], and its gradient."""

    influence: Float64Array
    gradient: QueryGradient


class SelfInfluenceScorer:
    """Scores sequences on themselves, each in one job of the engine's thread. Nothing of them is cached."""

    def __init__(self, engine: Engine, thread: EngineThread) -> None:
        self._engine = engine
        self._thread = thread

    async def score(
        self, tokens: TokenSequence, index: int, damping_factor: float, stopwatch: Stopwatch
    ) -> SelfInfluence:
        """Return the influence of the request's sequence number ``index``.

        Raises :class:`~whence.errors.InternalError` for an influence that is not finite.
        """

        def work() -> SelfInfluence:
            [gradient] = self._engine.query_gradients([tokens])
            influence = self._engine.score(self._engine.precondition([gradient], damping_factor), [tokens])
            return SelfInfluence(influence=influence[:, 0], gradient=gradient)

        scored = await self._thread.run(work, stage="score", stopwatch=stopwatch)
        require_finite(scored.influence[None], np.array([index]))
        return scored
