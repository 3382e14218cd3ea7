"""The full scan: the exact influence of every sequence of some shards, one batch at a time."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from whence_backends.batching import plan_batches
from whence_backends.contract import Detail, TokenSequence
from whence_backends.topk import Order, TopK
from whence_backends.worker.requests.scope import Scope
from whence_backends.worker.runtime.context import CallContext
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.influence_counts import InfluenceCounts
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries
from whence_service.rpc.stages import Stopwatch

PROGRESS_INTERVAL_S: Final = 0.5

Int64Array = NDArray[np.int64]


class ScannedCorpus(Protocol):
    """The part of a corpus that is scanned; see :class:`whence_backends.corpus.Corpus`."""

    def positions(self, shard: str) -> Sequence[int]:
        """Return the positions of the sequences of a shard."""
        ...

    def lengths(self, shard: str) -> NDArray[np.integer[Any]]:
        """Return the lengths of these sequences in tokens, in the same order."""
        ...

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        """Return the tokens of the sequences at these positions."""
        ...


@dataclass(frozen=True, kw_only=True)
class ScanSpec:
    """The sequences to scan, and how many of which ends of the ranking to keep."""

    queries: PreconditionedQueries
    scope: Scope
    k: int
    orders: tuple[Order, ...]


@dataclass(frozen=True, kw_only=True)
class ScanProgress:
    """The scan so far.

    ``best`` and ``counts``, of all influences, change as the scan goes on: read them before asking for the next
    progress.
    """

    sequences_scored: int
    sequences_total: int
    done: bool
    best: Mapping[Order, TopK]
    counts: InfluenceCounts


class Scanner:
    """Scans the shards of a corpus.

    A scan that is cancelled or out of time ends after its present batch. Batches never span shards, and the batches of
    a shard depend on its lengths and the token budget alone: a worker with one shard computes what a worker with all of
    them does, bit for bit.
    """

    def __init__(
        self,
        *,
        scorer: BatchScorer,
        corpus: ScannedCorpus,
        shards: Sequence[str],
        token_budget: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scorer = scorer
        self._corpus = corpus
        self._token_budget = token_budget
        self._clock = clock
        self._batches = {shard: _batches(corpus, shard, token_budget) for shard in shards}

    async def scan(self, spec: ScanSpec, context: CallContext) -> AsyncGenerator[ScanProgress, None]:
        """Yield progress about twice a second, and last the finished scan.

        Raises :class:`~whence.errors.DeadlineError` once the deadline has passed and
        :class:`~whence.errors.InternalError` for an influence that is not finite.
        """
        batches = [batch for shard in spec.scope.shards for batch in self._batches_of(shard, spec.scope)]
        total = sum(len(batch) for batch in batches)
        k = min(spec.k, total)
        best = {order: TopK(k, order, queries=spec.queries.queries) for order in spec.orders}
        counts = InfluenceCounts(spec.queries.queries)
        scored, reported_at = 0, self._clock()
        for batch in batches:
            context.require_time(f"after {scored} of {total} sequences were scored")
            influence = await self._score(spec.queries, batch, context.stopwatch)
            for top in best.values():
                top.push(influence, batch)
            counts.add(influence)
            scored += len(batch)
            if scored < total and self._clock() - reported_at >= PROGRESS_INTERVAL_S:
                yield ScanProgress(sequences_scored=scored, sequences_total=total, done=False, best=best, counts=counts)
                reported_at = self._clock()
        yield ScanProgress(sequences_scored=scored, sequences_total=total, done=True, best=best, counts=counts)

    def _batches_of(self, shard: str, scope: Scope) -> list[Int64Array]:
        if scope.masks is None:
            return self._batches[shard]
        return _batches(self._corpus, shard, self._token_budget, scope.masks[shard])

    async def _score(
        self, queries: PreconditionedQueries, batch: Int64Array, stopwatch: Stopwatch
    ) -> NDArray[np.float64]:
        def read() -> list[TokenSequence]:
            return self._corpus.tokens_at(batch.tolist())

        return await self._scorer.score(queries, read, Detail.TOTAL, stopwatch)


def _batches(
    corpus: ScannedCorpus, shard: str, token_budget: int, mask: NDArray[np.bool_] | None = None
) -> list[Int64Array]:
    positions, lengths = np.asarray(corpus.positions(shard), dtype=np.int64), corpus.lengths(shard)
    if mask is not None:
        positions, lengths = positions[mask], lengths[mask]
    return [positions[batch] for batch in plan_batches(lengths, token_budget)]
