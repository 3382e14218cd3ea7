"""Dynamic batching of re-ranks: calls that are under way at the same time share batches.

A call by itself goes through the batches that its own positions make up, whatever else the worker does at other times,
so that it has the same bits each time. With others under way whose gradients are preconditioned alike, a batch is
filled up with their next candidates, and one that several of them want is scored once: forming a sequence's gradient
costs far more than multiplying it with one more query. Shared influences differ from a call's own by rounding alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from whence_backends.batching import IndexArray
from whence_backends.contract import Detail
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
from whence_service.rpc.stages import Stopwatch

REPORT_INTERVAL_S: Final = 0.25

Precondition = Callable[[Sequence[NamedGradient], Preconditioning, Stopwatch], Awaitable[PreconditionedQueries]]


class RescoreQueue:
    """Scores given sequences of one corpus with one engine, for all calls that want some.

    State: who waits, in turn, and the task that runs batches while somebody does. Owner: the event loop.
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
        """Yield influences a few times a second, each position once. A call that is left takes nothing from others.

        Raises :class:`~whence.errors.DeadlineError` once the deadline has passed,
        :class:`~whence.errors.InternalError` for an influence that is not finite, and what
        :func:`~whence_backends.worker.scoring.rescore_batches.plan_rescore` raises.
        """
        batches = plan_rescore(positions, self._shards, self._token_budget)
        work = PendingRescore(gradients, preconditioning, batches, context)
        self._waiting = (*self._waiting, work)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        scored, reported_at, ready = 0, self._clock(), list[Rescored]()
        try:
            while scored < work.total:
                part = await work.ready.get()
                if isinstance(part, Exception):
                    raise part
                ready.append(part)
                scored += len(part.positions)
                if scored == work.total or self._clock() - reported_at >= REPORT_INTERVAL_S:
                    yield joined(ready)
                    ready, reported_at = [], self._clock()
        finally:
            work.abandoned = True

    async def close(self) -> None:
        """End what is under way."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        self._fail(self._waiting, shutting_down())

    async def _run(self) -> None:
        try:
            while await self._turn():
                pass
        except Exception as error:  # a bug, of which nobody who waits may be left without an answer
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
        for work in plan.expired:
            work.ready.put_nowait(deadline_error(f"after {work.total - work.left} of {work.total} were scored"))
        if not plan.chosen:
            return False
        try:
            await self._score(plan)
        except Exception as error:
            if len(plan.group) == 1:
                self._fail(plan.chosen, error)
            for work in plan.group:  # each may succeed by itself, or learns why not
                work.alone, work.composition = True, None
        return True

    async def _score(self, plan: SharedBatch) -> None:
        """Score a batch, and hand each of the chosen what it wants of it."""
        watch, positions = Stopwatch(), plan.positions
        composition = await self._compose(plan, watch)
        influence = await self._scorer.score(
            composition.preconditioned, lambda: self._corpus.tokens_at(positions.tolist()), Detail.TOTAL, watch
        )
        timings = watch.timings()
        for work in plan.chosen:
            wanted, rows = work.wanted(positions), [composition.rows[query.key] for query in work.gradients]
            mine = influence[rows][:, wanted]
            try:
                require_finite(mine, positions[wanted])
            except Exception as error:
                self._fail([work], error)
                continue
            work.drop(positions)
            work.context.stopwatch.merge(timings)
            told = composition.preconditioned.truncation_errors
            work.ready.put_nowait(
                Rescored(
                    positions=positions[wanted], influence=mine, truncation_errors=tuple(told[row] for row in rows)
                )
            )

    async def _compose(self, plan: SharedBatch, watch: Stopwatch) -> Composition:
        """Return queries among which are those of the chosen: as they are held, or those of the whole group anew."""
        held = plan.chosen[0].composition
        chosen, live = (set[str]().union(*(work.names for work in part)) for part in (plan.chosen, plan.group))
        # Rows of calls that are gone cost memory and time: where they are most, begin anew.
        if held is not None and chosen <= held.rows.keys() and 2 * len(live & held.rows.keys()) >= len(held.rows):
            return held
        queries = _distinct(plan.group)
        preconditioned = await self._precondition(queries, plan.group[0].preconditioning, watch)
        rows = {query.key: row for row, query in enumerate(queries)}
        composition = Composition(rows=rows, preconditioned=preconditioned)
        for work in plan.group:
            work.composition = composition
        return composition

    def _fail(self, failed: Sequence[PendingRescore], error: Exception) -> None:
        for work in failed:
            if not work.abandoned:
                work.abandoned = True
                work.ready.put_nowait(error)

    def _padded_tokens(self, positions: IndexArray) -> int:
        longest = 0
        for shard in self._shards:
            rows = positions - shard.first_position
            held = rows[(rows >= 0) & (rows < len(shard.lengths))]
            longest = max(longest, int(shard.lengths[held].max(initial=0)))
        return longest * len(positions)


def _distinct(group: Sequence[PendingRescore]) -> list[NamedGradient]:
    """Return the queries of all, each once: of one call as they are, of several by name, whoever comes first."""
    if len(group) == 1:
        return list(group[0].gradients)
    found = {query.key: query for work in group for query in work.gradients}
    return [found[key] for key in sorted(found)]
