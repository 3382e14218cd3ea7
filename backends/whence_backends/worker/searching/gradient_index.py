"""The gradient index as a worker uses it: searches of the shards that it holds, their rows, and refinement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.index import Index
from whence_backends.index.codes import row_bytes, rows_of_bytes
from whence_backends.index.refine import MOST_ROWS, Refined, refine
from whence_backends.index.search import Float32Array, Searcher
from whence_backends.topk import Order, Ranked, TopK
from whence_backends.worker.requests.scope import Scope
from whence_backends.worker.requests.sequences import sequence_not_held
from whence_backends.worker.runtime.records import WorkerObserver, ignore
from whence_backends.worker.searching.group_sums import RowEstimates
from whence_backends.worker.searching.search_queue import SearchQueue, SearchSpec
from whence_backends.worker.searching.sketches import Sketches
from whence_service.rpc.stages import Stopwatch

# A sketch of larger values would have estimates beyond float32.
_LARGEST_VALUE: Final = 1e30
# Standard errors are computed for so many rows at a time: codes of 8 or 16 bits are decoded for it.
_ERROR_ROWS: Final = 1 << 13


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """The best rows for one query, best first: their positions, estimated influences and standard errors, each [n]."""

    positions: NDArray[np.int64]
    estimates: Float32Array
    errors: Float32Array


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexEstimates:
    """The estimates of a search: for each order that was asked for one :class:`Estimates` a query.

    ``searched`` is the number of rows in the scope of the search.
    """

    by_order: dict[Order, list[Estimates]]
    searched: int


class GradientIndex:
    """An open index, with the queue of searches and the sketches of queries.

    State: the lock that lets refinements run one at a time, as each takes all cores. Owner: the event loop.
    """

    def __init__(
        self, index: Index, sketches: Sketches, searcher: Searcher, *, observe: WorkerObserver = ignore
    ) -> None:
        self.index = index
        self.sketches = sketches
        self._searcher = searcher
        self._queue = SearchQueue(searcher, observe=observe)
        self._refining = asyncio.Lock()

    def __repr__(self) -> str:
        return f"GradientIndex({self.index.digest}, {self.sketches!r}, {self._queue!r})"

    async def search(self, spec: SearchSpec, stopwatch: Stopwatch) -> IndexEstimates:
        """Return the best rows for each query.

        Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SKETCH``) for sketches that are not of this index.
        """
        self._require_sketches(spec.sketches)
        with stopwatch.stage("search"):
            result, queries = await self._queue.search(spec)
            by_order: dict[Order, list[Estimates]] = {}
            for order in spec.orders:
                ranked = [result.best[order].arrays(query) for query in range(queries.start, queries.stop)]
                best = [(positions[: spec.k], values[: spec.k]) for positions, values in ranked]
                by_order[order] = await asyncio.to_thread(self._with_errors, spec.sketches, best)
        return IndexEstimates(by_order=by_order, searched=result.searched)

    def rows(self, positions: Sequence[int]) -> list[bytes]:
        """Return the encoded rows of some sequences, for :meth:`refine`. Reads mapped files.

        Raises :class:`~whence.errors.NotFoundError` for a position that is not held here, and
        :class:`~whence.errors.InvalidRequestError` (``TOO_MANY_ROWS``) for more rows than a refinement takes.
        """
        _require_few(positions, "positions")
        return [self._row(position) for position in positions]

    async def refine(self, sketch: Float32Array, rows: Sequence[bytes], influences: NDArray[np.float64]) -> Refined:
        """Return the sketch, corrected by the exact ``influences`` [n] of ``rows``, which may be of other workers.

        Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SKETCH``, ``INVALID_INDEX_ROWS``,
        ``TOO_MANY_ROWS``) for a sketch or rows that are not of this index.
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
            held = self.index.shards[shard]
            rows = scope.rows(shard, held.info.sequences)
            top.push(np.asarray(held.self_influence[rows])[None], rows + held.info.first_position)
            searched += len(rows)
        return top.ranked(0), searched

    def row_estimates(
        self, sketch: Float32Array, scope: Scope, groups: Mapping[str, NDArray[np.int32]], check: Callable[[], None]
    ) -> list[RowEstimates]:
        """Return the estimates of all rows in the scope, by shard. ``groups`` has the set of groups of every row.

        ``check`` is called now and then and may raise. Raises :class:`~whence.errors.InvalidRequestError`
        (``INVALID_SKETCH``) for a sketch that is not of this index.
        """
        self._require_sketches(sketch[None])
        return [self._shard_estimates(sketch, scope, shard, groups[shard], check) for shard in scope.shards]

    async def close(self) -> None:
        """End the searches."""
        await self._queue.close()

    def _shard_estimates(
        self, sketch: Float32Array, scope: Scope, shard: str, groups: NDArray[np.int32], check: Callable[[], None]
    ) -> RowEstimates:
        info = self.index.shards[shard].info
        estimates = self._searcher.estimate(sketch[None], shard, on_chunk=check)[0]
        rows = scope.rows(shard, info.sequences)
        positions = rows + info.first_position
        return RowEstimates(
            positions=positions,
            groups=groups[rows],
            estimates=estimates[rows].astype(np.float64),
            errors=self._errors(sketch, positions, check),
        )

    def _errors(
        self, sketch: Float32Array, positions: NDArray[np.int64], check: Callable[[], None]
    ) -> NDArray[np.float64]:
        errors = np.empty(len(positions))
        for start in range(0, len(positions), _ERROR_ROWS):
            check()
            part = slice(start, start + _ERROR_ROWS)
            errors[part] = self._searcher.errors(sketch, positions[part])
        return errors

    def _require_sketches(self, sketches: Float32Array) -> None:
        width = self.index.card.width
        # A NaN fails this comparison, too.
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
            f"{len(rows)} rows of the index at once; a refinement takes at most {MOST_ROWS}",
            reason=Reason.TOO_MANY_ROWS,
            field=field,
        )
