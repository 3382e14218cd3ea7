"""Search: estimating the influence of every row of some shards in one pass over their codes, and selecting the best.

One-bit codes are compared with queries of four bits per value. A query is split into four planes of signs, whose
products with codes are counts of differing bits; batches of queries become tables of sums that the codes select from.
Both give integers, so an estimate is bit-equal whatever else is searched with it, with any number of threads and from
any shards. One query is compared at about the speed of memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.index.batch_kernel import LANES, MANY, MANY_ROWS, estimate_many, make_tables
from whence_backends.index.codes import Encoded, decode
from whence_backends.index.kernel import estimate_one_bit
from whence_backends.index.plan import Segment
from whence_backends.index.storage import ShardRows
from whence_backends.topk import Order, TopK

PLANES: Final = 4
_WORD: Final = 64  # bits that the kernel compares at a time; the compiler vectorizes over them
_LARGEST: Final = 2**PLANES - 1
# Candidates for the largest level, as shares of a segment's largest value; the one with the smallest error is used.
_CLIPS: Final = np.geomspace(1.0, 0.2, 12)
# Number of estimates held at a time, and of rows of eight and sixteen bits decoded at a time.
_ESTIMATES_AT_ONCE: Final = 1 << 22
_DECODED_AT_ONCE: Final = 1 << 22

Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryLevels:
    """Queries of four bits per value: ``levels`` uint8 [Q, width] of 0 to 15, and ``steps`` float32 [Q, segments].

    A value is step · (2 · level - 15), or step · Σ_p 2^p · (±1) by its four bits. Segments whose
    step is 0 are skipped.
    """

    levels: NDArray[np.uint8]
    steps: Float32Array

    @classmethod
    def of(cls, sketches: Float32Array, segments: Sequence[Segment]) -> QueryLevels:
        """Quantize sketches [Q, width], each segment of each query by itself."""
        levels = np.zeros(sketches.shape, np.uint8)
        steps = np.zeros((len(sketches), len(segments)), np.float32)
        for number, segment in enumerate(segments):
            within = slice(segment.start, segment.stop)
            levels[:, within], steps[:, number] = _quantize(sketches[:, within])
        return cls(levels=levels, steps=steps)

    @cached_property
    def planes(self) -> NDArray[np.uint64]:
        """The bits of the levels, uint64 [Q, 4, words]."""
        bits = [np.packbits(self.levels >> plane & 1, axis=1, bitorder="little") for plane in range(PLANES)]
        return np.ascontiguousarray(np.stack(bits, axis=1)).view(np.uint64)

    @cached_property
    def tables(self) -> NDArray[np.uint8]:
        """The sums of four levels each, by the bits of a code, uint8 [Q, words, 16, 16]."""
        tables = np.empty((len(self.levels), self.levels.shape[1] // _WORD, 16, 16), np.uint8)
        make_tables(self.levels, tables)
        return tables


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """The best estimates by order, and the number of rows compared."""

    best: Mapping[Order, TopK]
    searched: int


class Searcher:
    """Searches the open shards of an index. Immutable except for its threads, and safe to share.

    ``threads`` defaults to the number of cores.
    """

    def __init__(
        self, shards: Mapping[str, ShardRows], segments: Sequence[Segment], *, threads: int | None = None
    ) -> None:
        self._shards = dict(shards)
        self._segments = tuple(segments)
        self._starts = np.array([0, *(segment.stop // _WORD for segment in segments)], np.int64)
        self._threads = threads or os.cpu_count() or 1
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="search")
        self._compile()

    def __repr__(self) -> str:
        return f"Searcher(shards={len(self._shards)}, threads={self._threads})"

    def search(
        self,
        sketches: Float32Array,
        shards: Sequence[str],
        k: int,
        orders: Sequence[Order],
        *,
        keep: Mapping[str, BoolArray] | None = None,
        on_chunk: Callable[[], None] = lambda: None,
    ) -> SearchResult:
        """Return the ``k`` best rows of the shards for each query, float32 [Q, width]. Ties go to the lower position.

        ``keep`` maps each shard to the mask of rows to consider. ``on_chunk`` is called for each chunk of rows and may
        raise, to cancel the search. An estimate is ⟨query, code⟩ with the code's scales; see :func:`estimate`.
        """
        total = sum(len(self._shards[name].codes) for name in shards)
        best = {order: TopK(min(k, total), order, queries=len(sketches)) for order in orders}
        queries = QueryLevels.of(sketches, self._segments)
        step = max(1024, _ESTIMATES_AT_ONCE // max(1, len(sketches)))
        searched = 0
        for name in shards:
            rows = self._shards[name]
            for start in range(0, len(rows.codes), step):
                on_chunk()
                stop = min(start + step, len(rows.codes))
                estimates = self._estimate(rows, start, stop, sketches, queries)
                positions = np.arange(start, stop) + rows.info.first_position
                if keep is not None:
                    kept = np.flatnonzero(keep[name][start:stop])
                    estimates, positions = estimates[:, kept], positions[kept]
                searched += len(positions)
                for top in best.values():
                    top.push(estimates, positions)
        return SearchResult(best=best, searched=searched)

    def estimate(
        self, sketches: Float32Array, shard: str, *, on_chunk: Callable[[], None] = lambda: None
    ) -> Float32Array:
        """Return the estimated raw influence of every row of a shard on every query, float32 [Q, rows].

        ``on_chunk`` is called for each chunk of rows and may raise.
        """
        rows, queries = self._shards[shard], QueryLevels.of(sketches, self._segments)
        estimates = np.empty((len(sketches), len(rows.codes)), np.float32)
        for start in range(0, len(rows.codes), _ESTIMATES_AT_ONCE):
            on_chunk()
            stop = min(start + _ESTIMATES_AT_ONCE, len(rows.codes))
            estimates[:, start:stop] = self._estimate(rows, start, stop, sketches, queries)
        return estimates

    def errors(self, sketch: Float32Array, positions: NDArray[np.int64]) -> Float32Array:
        """Return the standard deviation of the estimates at ``positions`` for one query [width], float32 [n]."""
        errors = np.zeros(len(positions), np.float32)
        for rows in self._shards.values():
            first = rows.info.first_position
            held = np.flatnonzero((positions >= first) & (positions < first + rows.info.sequences))
            within = positions[held] - first
            errors[held] = standard_errors(sketch, Encoded(rows.codes[within], rows.scales[within]), self._segments)
        return errors

    def close(self) -> None:
        """Stop the threads."""
        self._executor.shutdown()

    def _compile(self) -> None:
        """Compile the kernels for the types and layout of these codes, so that no search has to wait for it."""
        width = self._segments[-1].stop if self._segments else 0
        rows = max(self._shards.values(), key=lambda rows: len(rows.codes), default=None)
        if rows is None or not len(rows.codes) or rows.codes.dtype != np.uint8:
            return
        for count in (1, 2, MANY):  # the results of one query are contiguous, those of several are not
            queries = QueryLevels.of(np.zeros((count, width), np.float32), self._segments)
            self._run(rows, 0, min(len(rows.codes), self._threads), queries, many=count == MANY)

    def _estimate(
        self, rows: ShardRows, start: int, stop: int, sketches: Float32Array, queries: QueryLevels
    ) -> Float32Array:
        if rows.codes.dtype == np.uint8:
            many = len(sketches) >= MANY and len(rows.codes) >= MANY_ROWS
            return self._run(rows, start, stop, queries, many=many)
        out = np.empty((len(sketches), stop - start), np.float32)
        self._share_out(start, stop, lambda low, high, part: self._multiply(rows, low, high, sketches, part), out)
        return out

    def _run(self, rows: ShardRows, start: int, stop: int, queries: QueryLevels, *, many: bool) -> Float32Array:
        """Return the estimates of one-bit codes, by the kernel for many queries or that for few."""
        kernel, asked = (estimate_many, queries.tables) if many and LANES else (estimate_one_bit, queries.planes)

        def work(low: int, high: int, part: Float32Array) -> None:
            codes = np.asarray(rows.codes[low:high]).view(np.uint64)
            kernel(codes, np.asarray(rows.scales[low:high]), asked, queries.steps, self._starts, part)

        out = np.empty((len(queries.levels), stop - start), np.float32)
        self._share_out(start, stop, work, out)
        return out

    def _share_out(
        self, start: int, stop: int, work: Callable[[int, int, Float32Array], None], out: Float32Array
    ) -> None:
        """Divide the rows from ``start`` to ``stop`` among the threads."""
        cuts = np.linspace(start, stop, self._threads + 1).astype(int)
        parts = [(low, high) for low, high in pairwise(cuts) if low < high]
        for done in [self._executor.submit(work, low, high, out[:, low - start : high - start]) for low, high in parts]:
            done.result()

    def _multiply(self, rows: ShardRows, low: int, high: int, sketches: Float32Array, out: NDArray[Any]) -> None:
        step = max(1, _DECODED_AT_ONCE // max(1, rows.codes.shape[1]))
        for start in range(low, high, step):
            stop = min(start + step, high)
            values = decode(rows.codes[start:stop], rows.scales[start:stop], self._segments)
            out[:, start - low : stop - low] = sketches @ values.T


def standard_errors(sketch: Float32Array, rows: Encoded, segments: Sequence[Segment]) -> Float32Array:
    """Return the standard deviation of the estimates of ``rows`` for one query [width], float32 [n].

    That of a random fold (and, with one bit, of random signs) is √(Σ_segments ‖query‖² · ‖code‖² / width), where
    ‖code‖ is the norm of the values that the code represents.
    """
    variances = np.zeros(len(rows.codes))
    for number, segment in enumerate(segments):
        part = slice(segment.start, segment.stop)
        scale = rows.scales[:, number].astype(np.float64)
        if rows.codes.dtype != np.uint8:  # with one bit, the norm of a code is √width
            scale *= np.sqrt(np.square(rows.codes[:, part].astype(np.float64)).mean(axis=1))
        variances += float(np.square(sketch[part], dtype=np.float64).sum()) * np.square(scale)
    narrow: Float32Array = np.sqrt(variances).astype(np.float32)
    return narrow


def _quantize(values: Float32Array) -> tuple[NDArray[np.uint8], Float32Array]:
    """Return levels 0 to 15 [Q, n] and the step [Q] of values [Q, n]: a level u stands for step · (2u - 15)."""
    largest = np.abs(values).max(axis=1, initial=0.0)
    best = np.full(len(values), np.inf)
    levels, steps = np.zeros(values.shape, np.uint8), np.zeros(len(values), np.float32)
    for clip in _CLIPS:
        step = (largest * clip / _LARGEST).astype(np.float32)
        divisor = np.where(step > 0, step, 1)[:, None]
        tried = np.clip(np.floor((values / divisor + _LARGEST + 1) / 2), 0, _LARGEST)
        errors = np.square(values - step[:, None] * (2 * tried - _LARGEST), dtype=np.float64).sum(axis=1)
        better = errors < best
        best[better], steps[better], levels[better] = errors[better], step[better], tried[better].astype(np.uint8)
    return levels, steps
