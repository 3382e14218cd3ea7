"""Sketches of queries, made from their gradients."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from whence.errors import MismatchError
from whence.reasons import Reason
from whence_backends.contract import SketchPlan
from whence_backends.ekfac.factors import Factors
from whence_backends.index import Index
from whence_backends.index.search import Float32Array
from whence_backends.index.sketch import fold_gradient, with_damping
from whence_backends.worker.gradients.source import NamedGradient
from whence_service.rpc.stages import Stopwatch

_SKETCHES_KEPT: Final = 256


class Sketches:
    """Folds gradients into sketches, and caches the latest.

    State: the sketches in order of arrival, by gradient and damping factor. Owner: the event loop.
    """

    def __init__(self, index: Index, factors: Factors) -> None:
        plan = index.plan()

        @lru_cache(maxsize=2)
        def plan_for(damping_factor: float) -> SketchPlan:
            return with_damping(plan, factors.Lambda, damping_factor)

        self._plan_for = plan_for
        self._sketches: OrderedDict[tuple[str, float], Float32Array] = OrderedDict()

    def __repr__(self) -> str:
        return f"Sketches({len(self._sketches)}/{_SKETCHES_KEPT})"

    async def of(
        self, gradients: Sequence[NamedGradient], damping_factor: float, stopwatch: Stopwatch
    ) -> list[Float32Array]:
        """Return the sketch of each gradient, float32 [values].

        Raises :class:`~whence.errors.MismatchError` (``INDEX_LAYERS_MISMATCH``) where the index keeps none of the
        layers that a gradient is in.
        """
        with stopwatch.stage("sketch"):
            sketches = [await self._sketch(named, damping_factor) for named in gradients]
        for named, sketch in zip(gradients, sketches, strict=True):
            if not sketch.any() and any(part.left.any() and part.right.any() for part in named.gradient.layers):
                raise MismatchError(
                    "the index keeps nothing of the layers that the query's gradient is in; ask for other layers, for "
                    "SEARCH_FULL_SCAN, or build an index that keeps more (whence index --keep)",
                    reason=Reason.INDEX_LAYERS_MISMATCH,
                )
        return sketches

    async def _sketch(self, named: NamedGradient, damping_factor: float) -> Float32Array:
        key = (named.key, damping_factor)
        if key not in self._sketches:
            self._sketches[key] = await asyncio.to_thread(
                lambda: fold_gradient(named.gradient, self._plan_for(damping_factor))
            )
            if len(self._sketches) > _SKETCHES_KEPT:
                self._sketches.popitem(last=False)
        return self._sketches[key]
