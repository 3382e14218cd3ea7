"""Query gradients that the engine computes."""

from __future__ import annotations

import math

import numpy as np

from whence.errors import InternalError
from whence.reasons import Reason
from whence_backends.contract import Engine, QueryGradient
from whence_backends.worker.gradients.source import NamedGradient, NamedQuery
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_service.rpc.stages import Stopwatch


class Computed:
    """Computes gradients on the engine's thread.

    A query is computed alone, whatever else its request holds, so that its gradient has the same bits each time.
    """

    def __init__(self, engine: Engine, thread: EngineThread) -> None:
        self._engine = engine
        self._thread = thread

    def __repr__(self) -> str:
        return f"Computed({self._thread!r})"

    async def get(self, query: NamedQuery, stopwatch: Stopwatch) -> NamedGradient:
        """Return the gradient; :class:`~whence.errors.InternalError` where it is not finite."""

        def compute() -> QueryGradient:
            [gradient] = self._engine.query_gradients([query.tokens])
            _require_finite(gradient)
            return gradient

        gradient = await self._thread.run(compute, stage="forward_backward", stopwatch=stopwatch)
        return NamedGradient(key=query.key, gradient=gradient)


def _require_finite(gradient: QueryGradient) -> None:
    arrays = (array for layer in gradient.layers for array in (layer.left, layer.right))
    if math.isfinite(gradient.log_likelihood) and all(np.isfinite(array).all() for array in arrays):
        return
    raise InternalError(
        "the gradient of a query has values that are not finite (log-likelihood "
        f"{gradient.log_likelihood}); the model overflows in this precision: try precision=float32 or "
        "bfloat16",
        reason=Reason.NON_FINITE_GRADIENT,
        log_likelihood=gradient.log_likelihood,
    )
