"""The gradient index as a worker uses it: sketches of queries, and searches of the shards that it holds."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError, MismatchError
from whence.reasons import Reason
from whence_backends.contract import SketchPlan
from whence_backends.ekfac.factors import Factors
from whence_backends.index import Index
from whence_backends.index.codes import row_bytes, rows_of_bytes
from whence_backends.index.refine import MOST_ROWS, Refined, refine
from whence_backends.index.search import Float32Array, Searcher
from whence_backends.index.sketch import fold_gradient, with_damping
from whence_backends.topk import Order, Ranked, TopK
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.requests.scope import Scope
from whence_backends.worker.requests.sequences import sequence_not_held
from whence_backends.worker.runtime.records import WorkerObserver, ignore
from whence_backends.worker.searching.groups import RowEstimates
from whence_backends.worker.searching.search_queue import SearchQueue, SearchSpec
from whence_service.rpc.stages import Stopwatch

# A sketch of larger values than this would have estimates that float32 does not hold.
_LARGEST_VALUE: Final = 1e30
_SKETCHES_KEPT: Final = 256
# Rows whose standard errors are computed at a time: with eight or sixteen bits their codes are decoded for it.
_ERRORS_AT_ONCE: Final = 1 << 13


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """The best rows for one query, best first: their positions, estimated influences and standard errors, each [n]."""

    positions: NDArray[np.int64]
    estimates: Float32Array
    errors: Float32Array


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexEstimates:
    """One :class:`Estimates` a query for each asked order, and how many rows were looked at."""

    by_order: dict[Order, list[Estimates]]
    searched: int


class GradientIndex:
    """An open index with what is needed to ask it.

    State: the last sketches, by query and damping; whose turn it is to refine. Owner: the event loop.
    """

    def __init__(self, index: Index, factors: Factors, searcher: Searcher, *, observe: WorkerObserver = ignore) -> None:
        self.index = index
        self._searcher = searcher
        self._queue = SearchQueue(self._searcher, observe=observe)
        plan = index.plan()

        @lru_cache(maxsize=2)
        def plan_for(damping_factor: float) -> SketchPlan:
            return with_damping(plan, factors.Lambda, damping_factor)

        self._plan_for = plan_for
        self._sketches: OrderedDict[tuple[str, float], Float32Array] = OrderedDict()
        self._refining = asyncio.Lock()

    def __repr__(self) -> str:
        return f"GradientIndex({self.index.digest}, sketches={len(self._sketches)}, {self._queue!r})"

    async def sketches(
        self, gradients: Sequence[NamedGradient], damping_factor: float, stopwatch: Stopwatch
    ) -> list[Float32Array]:
        """Return each query's sketch, float32 [values].

        Raises :class:`~whence.errors.MismatchError` (``INDEX_LAYERS_MISMATCH``) for one that has nothing of a gradient.
        """
        with stopwatch.stage("sketch"):
            found = [await self._sketch(named, damping_factor) for named in gradients]
        for named, sketch in zip(gradients, found, strict=True):
            if not sketch.any() and any(part.left.any() and part.right.any() for part in named.gradient.layers):
                raise MismatchError(
                    "the index keeps nothing of the layers that the query's gradient is in; ask for other layers, for "
                    "SEARCH_FULL_SCAN, or build an index that keeps more (whence index --keep)",
                    reason=Reason.INDEX_LAYERS_MISMATCH,
                )
        return found

    async def search(self, spec: SearchSpec, stopwatch: Stopwatch) -> IndexEstimates:
        """Return the best rows for each query.

        Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SKETCH``) for sketches that are not of this index.
        """
        self._require_sketches(spec.sketches)
        with stopwatch.stage("search"):
            found, mine = await self._queue.search(spec)
            by_order: dict[Order, list[Estimates]] = {}
            for order in spec.orders:
                ranked = [found.best[order].arrays(query) for query in range(mine.start, mine.stop)]
                best = [(positions[: spec.k], values[: spec.k]) for positions, values in ranked]
                by_order[order] = await asyncio.to_thread(self._with_errors, spec.sketches, best)
        return IndexEstimates(by_order=by_order, searched=found.searched)

    def rows(self, positions: Sequence[int]) -> list[bytes]:
        """Return what the index holds of some sequences, for :meth:`refine`. Reads mapped files.

        Raises :class:`~whence.errors.NotFoundError` for one that is not here, and
        :class:`~whence.errors.InvalidRequestError` (``TOO_MANY_ROWS``) for more than can be learned from.
        """
        _require_few(positions, "positions")
        return [self._row(position) for position in positions]

    async def refine(self, sketch: Float32Array, rows: Sequence[bytes], influences: NDArray[np.float64]) -> Refined:
        """Return the sketch that the exact ``influences`` [n] of some rows, held here or not, lead to.

        One after the other: each takes all cores. Raises :class:`~whence.errors.InvalidRequestError`
        (``INVALID_SKETCH``, ``INVALID_INDEX_ROWS``, ``TOO_MANY_ROWS``) for what is not of this index.
        """
        self._require_sketches(sketch[None])
        _require_few(rows, "rows")
        card = self.index.card
        encoded = rows_of_bytes(rows, card.segments, card.bits)
        if influences.shape != (len(rows),) or not np.isfinite(influences).all():
            raise InvalidRequestError(
                f"influences of shape {list(influences.shape)} for {len(rows)} rows; expected a finite one for each",
                reason=Reason.INVALID_INDEX_ROWS,
                field="raw_influence",
            )
        async with self._refining:
            return await asyncio.to_thread(refine, sketch, encoded, influences, card.segments)

    def self_influence(self, scope: Scope, k: int) -> tuple[list[Ranked], int]:
        """Return the ``k`` rows with the largest stored influence on themselves, and the number of rows searched."""
        top, searched = TopK(k, Order.HIGHEST, queries=1), 0
        for shard in scope.shards:
            rows = self.index.shards[shard]
            chosen = scope.rows(shard, rows.info.sequences)
            top.push(np.asarray(rows.self_influence[chosen])[None], chosen + rows.info.first_position)
            searched += len(chosen)
        return top.ranked(0), searched

    def row_estimates(
        self,
        sketch: Float32Array,
        scope: Scope,
        groups: Mapping[str, NDArray[np.int32]],
        check: Callable[[], None],
    ) -> list[RowEstimates]:
        """Return the estimates of every row in the scope. ``check`` is called now and then and may raise.

        Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SKETCH``) for a sketch that is not of this index.
        """
        self._require_sketches(sketch[None])
        estimated = []
        for shard in scope.shards:
            info = self.index.shards[shard].info
            estimates = self._searcher.estimate(sketch[None], shard, on_chunk=check)[0]
            rows = scope.rows(shard, info.sequences)
            positions = rows + info.first_position
            estimated.append(
                RowEstimates(
                    positions=positions,
                    groups=groups[shard][rows],
                    estimates=estimates[rows].astype(np.float64),
                    errors=self._errors(sketch, positions, check),
                )
            )
        return estimated

    def _errors(
        self, sketch: Float32Array, positions: NDArray[np.int64], check: Callable[[], None]
    ) -> NDArray[np.float64]:
        found = np.empty(len(positions))
        for start in range(0, len(positions), _ERRORS_AT_ONCE):
            check()
            part = slice(start, start + _ERRORS_AT_ONCE)
            found[part] = self._searcher.errors(sketch, positions[part])
        return found

    async def close(self) -> None:
        """End the searches."""
        await self._queue.close()

    def _require_sketches(self, sketches: Float32Array) -> None:
        width = self.index.card.width
        # A NaN is not at most anything, and refused with the rest.
        largest = float(np.abs(sketches).max(initial=0.0))
        if sketches.ndim != 2 or sketches.shape[1] != width or not largest <= _LARGEST_VALUE:
            raise InvalidRequestError(
                f"sketches of shape {list(sketches.shape)} with values up to {largest:g}; expected [queries, {width}], "
                f"at most {_LARGEST_VALUE:g}, as PrepareQueries returns them",
                reason=Reason.INVALID_SKETCH,
                field="sketches",
            )

    def _row(self, position: int) -> bytes:
        for rows in self.index.shards.values():
            row = position - rows.info.first_position
            if 0 <= row < rows.info.sequences:
                return row_bytes(rows.codes[row], rows.scales[row])
        raise sequence_not_held(position)

    async def _sketch(self, named: NamedGradient, damping_factor: float) -> Float32Array:
        key = (named.key, damping_factor)
        if key not in self._sketches:
            self._sketches[key] = await asyncio.to_thread(
                lambda: fold_gradient(named.gradient, self._plan_for(damping_factor))
            )
            if len(self._sketches) > _SKETCHES_KEPT:
                self._sketches.popitem(last=False)
        return self._sketches[key]

    def _with_errors(
        self, sketches: Float32Array, best: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]]
    ) -> list[Estimates]:
        return [
            Estimates(
                positions=positions,
                estimates=values.astype(np.float32),
                errors=self._searcher.errors(sketch, positions),
            )
            for sketch, (positions, values) in zip(sketches, best, strict=True)
        ]


def _require_few(rows: Sequence[object], field: str) -> None:
    if len(rows) > MOST_ROWS:
        raise InvalidRequestError(
            f"{len(rows)} rows of the index at once; at most {MOST_ROWS} are read and learned from",
            reason=Reason.TOO_MANY_ROWS,
            field=field,
        )
