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
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.preconditioning import Preconditioned
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.stages import Stopwatch

PROGRESS_INTERVAL_S: Final = 0.5

Int64Array = NDArray[np.int64]


class ScannedCorpus(Protocol):
    """What scanning needs of a corpus; see :class:`whence_backends.corpus.Corpus`."""

    def positions(self, shard: str) -> Sequence[int]:
        """Return the positions in the corpus of a shard's sequences."""
        ...

    def lengths(self, shard: str) -> NDArray[np.integer[Any]]:
        """Return the length in tokens of each, in the same order."""
        ...

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        """Return the tokens of the sequences at these positions."""
        ...


@dataclass(frozen=True, kw_only=True)
class ScanJob:
    """What to scan, and how many sequences of which ends of the ranking to keep.

    ``keep`` says of each shard which of its sequences count; ``None``: all.
    """

    preconditioned: Preconditioned
    shards: tuple[str, ...]
    k: int
    orders: tuple[Order, ...]
    deadline: Deadline
    keep: Mapping[str, NDArray[np.bool_]] | None = None


@dataclass(frozen=True, kw_only=True)
class ScanProgress:
    """The scan so far. ``best`` changes as the scan goes on: read it before asking for the next progress."""

    sequences_scored: int
    sequences_total: int
    done: bool
    best: Mapping[Order, TopK]


class Scanner:
    """Scans the shards of one corpus with one engine.

    Whoever was cancelled or ran out of time stops after the batch in hand. Batches never span shards, and a
    shard's batches depend on nothing but its lengths and the token budget: a worker with one shard computes
    what a worker with all of them does, bit for bit.
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

    async def scan(self, job: ScanJob, stopwatch: Stopwatch) -> AsyncGenerator[ScanProgress, None]:
        """Yield progress about twice a second, and last the whole.

        Raises :class:`~whence.errors.DeadlineError` once the deadline has passed and
        :class:`~whence.errors.InternalError` for an influence that is not finite.
        """
        batches = [batch for shard in job.shards for batch in self._batches_of(shard, job.keep)]
        total = sum(len(batch) for batch in batches)
        k = min(job.k, total)
        best = {order: TopK(k, order, queries=job.preconditioned.queries) for order in job.orders}
        scored, reported_at = 0, self._clock()
        for batch in batches:
            if job.deadline.remaining_s() <= 0:
                raise deadline_error(f"after {scored} of {total} sequences were scored")
            influence = await self._score(job, batch, stopwatch)
            for top in best.values():
                top.push(influence, batch)
            scored += len(batch)
            if scored < total and self._clock() - reported_at >= PROGRESS_INTERVAL_S:
                yield ScanProgress(sequences_scored=scored, sequences_total=total, done=False, best=best)
                reported_at = self._clock()
        yield ScanProgress(sequences_scored=scored, sequences_total=total, done=True, best=best)

    def _batches_of(self, shard: str, keep: Mapping[str, NDArray[np.bool_]] | None) -> list[Int64Array]:
        if keep is None:
            return self._batches[shard]
        return _batches(self._corpus, shard, self._token_budget, keep[shard])

    async def _score(self, job: ScanJob, batch: Int64Array, stopwatch: Stopwatch) -> NDArray[np.float64]:
        def read() -> list[TokenSequence]:
            return self._corpus.tokens_at(batch.tolist())

        return await self._scorer.score(job.preconditioned, read, Detail.TOTAL, stopwatch)


def _batches(
    corpus: ScannedCorpus, shard: str, token_budget: int, keep: NDArray[np.bool_] | None = None
) -> list[Int64Array]:
    positions, lengths = np.asarray(corpus.positions(shard), dtype=np.int64), corpus.lengths(shard)
    if keep is not None:
        positions, lengths = positions[keep], lengths[keep]
    return [positions[batch] for batch in plan_batches(lengths, token_budget)]
