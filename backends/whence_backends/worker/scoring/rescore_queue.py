"""Dynamic batching of re-ranks: calls that are under way at the same time share batches.

A call that is alone is scored in the batches of its own positions, so that it has the same bits each time. If others
with the same preconditioning are under way, its batches are filled up with their next candidates, and a candidate that
several calls want is scored once: the gradient of a sequence costs far more than its product with one more query. The
influences of a shared batch differ from those of a call's own by rounding alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from whence_backends.batching import IndexArray
from whence_backends.contract import Detail, Float64Array
from whence_backends.topk import require_finite
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.runtime.context import CallContext
from whence_backends.worker.runtime.engine_thread import shutting_down
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.pending_rescore import Composition, PendingRescore
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries, Preconditioning
from whence_backends.worker.scoring.rescore_batches import HeldShard, Rescored, joined, plan_rescore
from whence_backends.worker.scoring.scan import ScannedCorpus
from whence_backends.worker.scoring.shared_batch import SharedBatch, plan_shared
from whence_service.rpc.deadlines import deadline_error
from whence_service.rpc.identity import enter
from whence_service.rpc.stages import Stopwatch
from whence_service.rpc.tracing import SharedTrace

REPORT_INTERVAL_S: Final = 0.25

Precondition = Callable[[Sequence[NamedGradient], Preconditioning, Stopwatch], Awaitable[PreconditionedQueries]]


class RescoreQueue:
    """Scores given sequences of a corpus for all calls, one batch at a time.

    State: the re-ranks that wait, in turn, and the task that scores batches while there are any. Owner: the event loop.
    """

    def __init__(
        self,
        *,
        scorer: BatchScorer,
        precondition: Precondition,
        corpus: ScannedCorpus,
        shards: Mapping[str, int],
        token_budget: int,
        max_queries: Callable[[int], int],
        share: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scorer = scorer
        self._precondition = precondition
        self._corpus = corpus
        self._token_budget = token_budget
        self._max_queries = max_queries
        self._share = share
        self._clock = clock
        self._shards = [HeldShard(first_position=first, lengths=corpus.lengths(name)) for name, first in shards.items()]
        self._waiting: tuple[PendingRescore, ...] = ()
        self._runner: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"RescoreQueue(waiting={len(self._waiting)})"

    async def rescore(
        self,
        gradients: Sequence[NamedGradient],
        preconditioning: Preconditioning,
        positions: Sequence[int],
        context: CallContext,
    ) -> AsyncGenerator[Rescored, None]:
        """Yield influences a few times a second, each position once. A caller that leaves takes nothing from others.

        Raises :class:`~whence.errors.DeadlineError` once the deadline has passed,
        :class:`~whence.errors.InternalError` for an influence that is not finite, and what
        :func:`~whence_backends.worker.scoring.rescore_batches.plan_rescore` raises.
        """
        batches = plan_rescore(positions, self._shards, self._token_budget)
        pending = PendingRescore(gradients, preconditioning, batches, context)
        self._waiting = (*self._waiting, pending)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        scored, reported_at, ready = 0, self._clock(), list[Rescored]()
        try:
            while scored < pending.total:
                part = await pending.ready.get()
                if isinstance(part, Exception):
                    raise part
                ready.append(part)
                scored += len(part.positions)
                if scored == pending.total or self._clock() - reported_at >= REPORT_INTERVAL_S:
                    yield joined(ready)
                    ready, reported_at = [], self._clock()
        finally:
            pending.abandoned = True

    async def close(self) -> None:
        """End the batch under way, and fail the calls that wait."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        self._fail(self._waiting, shutting_down())

    async def _run(self) -> None:
        try:
            while await self._turn():
                pass
        except Exception as error:  # a bug: no call may wait forever
            self._fail(self._waiting, error)
            raise

    async def _turn(self) -> bool:
        """Score the next batch; False where there is none."""
        plan = plan_shared(
            self._waiting,
            self._clock(),
            padded_tokens=self._padded_tokens,
            token_budget=self._token_budget,
            max_queries=self._max_queries,
            share=self._share,
        )
        self._waiting = plan.waiting
        for pending in plan.expired:
            pending.ready.put_nowait(
                deadline_error(f"after {pending.total - pending.left} of {pending.total} were scored")
            )
        if not plan.chosen:
            return False
        enter(plan.chosen[0].caller)  # the engine's time counts for the first
        try:
            await self._score(plan)
        except Exception as error:
            if len(plan.group) == 1:
                self._fail(plan.chosen, error)
            for pending in plan.group:  # each is tried again by itself
                pending.alone, pending.composition = True, None
        return True

    async def _score(self, plan: SharedBatch) -> None:
        """Score a batch, and hand each call its part."""
        traces = [pending.context.stopwatch.trace for pending in plan.chosen]
        stopwatch, positions = Stopwatch(trace=SharedTrace(traces)), plan.positions
        composition = await self._compose(plan, stopwatch)
        influence = await self._scorer.score(
            composition.preconditioned, lambda: self._corpus.tokens_at(positions.tolist()), Detail.TOTAL, stopwatch
        )
        timings = stopwatch.timings()
        for pending in plan.chosen:
            try:
                part = _part(pending, positions, influence, composition)
            except Exception as error:
                self._fail([pending], error)
                continue
            pending.drop(positions)
            pending.context.stopwatch.merge(timings)
            pending.ready.put_nowait(part)

    async def _compose(self, plan: SharedBatch, stopwatch: Stopwatch) -> Composition:
        """Return preconditioned queries that include those of the chosen: the last ones, or the group's anew."""
        current = plan.chosen[0].composition
        chosen, live = (set[str]().union(*(pending.names for pending in part)) for part in (plan.chosen, plan.group))
        # The rows of calls that have ended cost memory and time: half of the rows, at most.
        if (
            current is not None
            and chosen <= current.rows.keys()
            and 2 * len(live & current.rows.keys()) >= len(current.rows)
        ):
            return current
        queries = _distinct(plan.group)
        preconditioned = await self._precondition(queries, plan.group[0].preconditioning, stopwatch)
        rows = {query.key: row for row, query in enumerate(queries)}
        composition = Composition(rows=rows, preconditioned=preconditioned)
        for pending in plan.group:
            pending.composition = composition
        return composition

    def _fail(self, failed: Sequence[PendingRescore], error: Exception) -> None:
        for pending in failed:
            if not pending.abandoned:
                pending.abandoned = True
                pending.ready.put_nowait(error)

    def _padded_tokens(self, positions: IndexArray) -> int:
        longest = 0
        for shard in self._shards:
            rows = positions - shard.first_position
            held = rows[(rows >= 0) & (rows < len(shard.lengths))]
            longest = max(longest, int(shard.lengths[held].max(initial=0)))
        return longest * len(positions)


def _part(
    pending: PendingRescore, positions: IndexArray, influence: Float64Array, composition: Composition
) -> Rescored:
    """Return the part of a batch that a call wants; :class:`~whence.errors.InternalError` where it is not finite."""
    wanted, rows = pending.wanted(positions), [composition.rows[query.key] for query in pending.gradients]
    part = influence[rows][:, wanted]
    require_finite(part, positions[wanted])
    errors = composition.preconditioned.truncation_errors
    return Rescored(positions=positions[wanted], influence=part, truncation_errors=tuple(errors[row] for row in rows))


def _distinct(group: Sequence[PendingRescore]) -> list[NamedGradient]:
    """Return the queries of all calls without repetition: of one call in its order, of several sorted by key."""
    if len(group) == 1:
        return list(group[0].gradients)
    by_key = {query.key: query for pending in group for query in pending.gradients}
    return [by_key[key] for key in sorted(by_key)]
