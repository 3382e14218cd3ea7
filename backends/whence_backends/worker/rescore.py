"""The exact influence of candidates, the most promising first, handed over as it is computed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import NotFoundError
from whence_backends.batching import IndexArray, plan_batches
from whence_backends.contract import Detail, Float64Array
from whence_backends.topk import require_finite
from whence_backends.worker.batch_scorer import BatchScorer
from whence_backends.worker.preconditioned import Preconditioned
from whence_backends.worker.scan import ScannedCorpus
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.stages import Stopwatch

# Candidates of one shard among which batches are made up by length: no candidate waits for more than so many others.
BLOCK: Final = 256
REPORT_INTERVAL_S: Final = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldShard:
    """The lengths in tokens of the sequences of a shard, from ``first_position`` on."""

    first_position: int
    lengths: NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rescored:
    """Positions [n] and their raw influences [Q, n]."""

    positions: IndexArray
    influence: Float64Array


def plan_rescore(
    positions: Sequence[int], shards: Sequence[HeldShard], token_budget: int, block: int = BLOCK
) -> list[IndexArray]:
    """Return batches of the positions, each in one. Pure.

    Batches do not span shards, and a shard's batches depend on nothing but its own positions, in their order: a worker
    with one shard computes what a worker with all of them does, bit for bit. Every shard's first block comes first.

    Raises :class:`~whence.errors.NotFoundError` for a position that is in none of the shards.
    """
    wanted = np.array(list(dict.fromkeys(positions)), np.int64)
    found = np.zeros(len(wanted), bool)
    by_block: dict[int, list[IndexArray]] = {}
    for shard in shards:
        rows = wanted - shard.first_position
        within = (rows >= 0) & (rows < len(shard.lengths))
        found |= within
        held, lengths = wanted[within], shard.lengths[rows[within]]
        for number, start in enumerate(range(0, len(held), block)):
            part = held[start : start + block]
            batches = plan_batches(lengths[start : start + block], token_budget)
            by_block.setdefault(number, []).extend(part[batch] for batch in batches)
    if not found.all():
        position = int(wanted[~found][0])
        raise NotFoundError(
            f"this worker holds no sequence at position {position}; ask the worker that holds its shard",
            reason="SEQUENCE_NOT_FOUND",
            position=position,
        )
    return [batch for number in sorted(by_block) for batch in by_block[number]]


class Rescorer:
    """Scores given sequences of one corpus with one engine. Whoever was cancelled stops after the batch in hand."""

    def __init__(
        self,
        *,
        scorer: BatchScorer,
        corpus: ScannedCorpus,
        shards: Mapping[str, int],
        token_budget: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scorer = scorer
        self._corpus = corpus
        self._token_budget = token_budget
        self._clock = clock
        self._shards = [HeldShard(first_position=first, lengths=corpus.lengths(name)) for name, first in shards.items()]

    async def rescore(
        self, preconditioned: Preconditioned, positions: Sequence[int], deadline: Deadline, stopwatch: Stopwatch
    ) -> AsyncGenerator[Rescored, None]:
        """Yield influences a few times a second, each position once.

        Raises :class:`~whence.errors.DeadlineError` once the deadline has passed,
        :class:`~whence.errors.InternalError` for an influence that is not finite, and what :func:`plan_rescore` raises.
        """
        batches = plan_rescore(positions, self._shards, self._token_budget)
        total, scored, reported_at = sum(map(len, batches)), 0, self._clock()
        ready: list[Rescored] = []
        for batch in batches:
            if deadline.remaining_s() <= 0:
                raise deadline_error(f"after {scored} of {total} sequences were scored")
            influence = await self._score(preconditioned, batch, stopwatch)
            require_finite(influence, batch)
            ready.append(Rescored(positions=batch, influence=influence))
            scored += len(batch)
            if scored == total or self._clock() - reported_at >= REPORT_INTERVAL_S:
                yield _joined(ready)
                ready, reported_at = [], self._clock()

    async def _score(
        self, preconditioned: Preconditioned, batch: IndexArray, stopwatch: Stopwatch
    ) -> NDArray[np.float64]:
        return await self._scorer.score(
            preconditioned, lambda: self._corpus.tokens_at(batch.tolist()), Detail.TOTAL, stopwatch
        )


def _joined(parts: Sequence[Rescored]) -> Rescored:
    return Rescored(
        positions=np.concatenate([part.positions for part in parts]),
        influence=np.concatenate([part.influence for part in parts], axis=1),
    )
