"""Dynamic batching of re-ranks: calls that are under way at the same time share batches.

A call by itself goes through the batches that its own positions make up, whatever else the worker does at other times,
so that it has the same bits each time. With others under way whose gradients are preconditioned alike, a batch is
filled up with their next candidates, and one that several of them want is scored once: forming a sequence's gradient
costs far more than multiplying it with one more query. Shared influences differ from a call's own by rounding alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whence_backends.batching import IndexArray
from whence_backends.contract import Detail
from whence_backends.topk import require_finite
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.runtime.context import CallContext
from whence_backends.worker.runtime.engine_thread import shutting_down
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries, Preconditioning
from whence_backends.worker.scoring.rescore_batches import HeldShard, Rescored, joined, plan_rescore
from whence_backends.worker.scoring.scan import ScannedCorpus
from whence_service.rpc.deadlines import deadline_error
from whence_service.rpc.stages import Stopwatch

REPORT_INTERVAL_S: Final = 0.25

Precondition = Callable[[Sequence[NamedGradient], Preconditioning, Stopwatch], Awaitable[PreconditionedQueries]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Composition:
    """The preconditioned queries of some calls, and which row is which query's."""

    rows: Mapping[str, int]
    preconditioned: PreconditionedQueries


class RescoreWork:
    """One call's candidates, in batches, the most promising first.

    State: what is left, what was scored and not fetched yet, and its queries as they were last preconditioned, with or
    without those of others. ``alone``: a batch that it shared failed, so it shares no more. Owner: the event loop.
    """

    def __init__(
        self,
        gradients: Sequence[NamedGradient],
        preconditioning: Preconditioning,
        batches: Sequence[IndexArray],
        context: CallContext,
    ) -> None:
        self.gradients = tuple(gradients)
        self.names = {query.key for query in self.gradients}
        self.preconditioning = preconditioning
        self.context = context
        self.total = sum(map(len, batches))
        self.ready: asyncio.Queue[Rescored | Exception] = asyncio.Queue()
        self.abandoned = False
        self.alone = False
        self.composition: Composition | None = None
        self._batches = deque(batches)
        self._left = {position for batch in batches for position in batch.tolist()}

    def __repr__(self) -> str:
        return f"RescoreWork({len(self.gradients)} queries, {self.left} of {self.total} left)"

    @property
    def left(self) -> int:
        """How many positions are still to be scored."""
        return len(self._left)

    def next_batch(self) -> IndexArray:
        """Return the next batch, without what was scored already; empty where nothing is left."""
        while self._batches:
            batch = self._batches[0]
            kept = batch[self.wanted(batch)]
            if len(kept):
                return kept
            self._batches.popleft()
        return np.zeros(0, np.int64)

    def wanted(self, positions: IndexArray) -> IndexArray:
        """Return which of the positions, as indices, this call still wants."""
        return np.array([i for i, position in enumerate(positions.tolist()) if position in self._left], np.int64)

    def drop(self, positions: IndexArray) -> None:
        """Take note that these were scored."""
        self._left.difference_update(positions.tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedBatch:
    """The next batch: who is in it and what it holds, who has run out of time, and who is left, next in turn first.

    ``group`` are all who could have been in it.
    """

    chosen: tuple[RescoreWork, ...]
    group: tuple[RescoreWork, ...]
    positions: IndexArray
    expired: tuple[RescoreWork, ...]
    waiting: tuple[RescoreWork, ...]


def plan_shared(
    waiting: Sequence[RescoreWork],
    now_s: float,
    *,
    padded_tokens: Callable[[IndexArray], int],
    token_budget: int,
    max_queries: Callable[[int], int],
    share: bool = True,
) -> SharedBatch:
    """Return the next batch of those that wait, at the time ``now_s``. Pure; whoever was abandoned is in no part.

    The first in turn gives its next batch. Others whose gradients are preconditioned alike, and whose queries fit
    within ``max_queries`` of their rank, add their next where the padded tokens stay within the budget, and whoever
    wants something that is in it takes part. Who was in it goes to the end.
    """
    live = [work for work in waiting if not work.abandoned]
    expired = tuple(work for work in live if work.context.deadline.expires_at_s <= now_s)
    able = [work for work in live if work not in expired and work.left]
    if not able:
        return SharedBatch(chosen=(), group=(), positions=np.zeros(0, np.int64), expired=expired, waiting=())
    group = _alike(able, max_queries) if share else able[:1]
    positions = group[0].next_batch()
    for work in group[1:]:
        filled = np.concatenate([positions, np.setdiff1d(work.next_batch(), positions)])
        if padded_tokens(filled) <= token_budget:
            positions = filled
    chosen = [work for work in group if len(work.wanted(positions))]
    in_turn = [work for work in able if work not in chosen] + chosen
    return SharedBatch(
        chosen=tuple(chosen), group=tuple(group), positions=positions, expired=expired, waiting=tuple(in_turn)
    )


def _alike(able: Sequence[RescoreWork], max_queries: Callable[[int], int]) -> list[RescoreWork]:
    """Return the first and those that can share its batches, as long as their queries fit.

    Those that it was preconditioned with come first: with them nothing has to be preconditioned anew.
    """
    first, *others = able
    if first.alone:
        return [first]
    known = first.composition.rows.keys() if first.composition is not None else set[str]()
    alike = [work for work in others if work.preconditioning == first.preconditioning and not work.alone]
    group, queries = [first], len(first.gradients)
    for work in sorted(alike, key=lambda work: not work.names <= known):
        if queries + len(work.gradients) <= max_queries(first.preconditioning.rank):
            group.append(work)
            queries += len(work.gradients)
    return group


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
        self._waiting: tuple[RescoreWork, ...] = ()
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
        work = RescoreWork(gradients, preconditioning, batches, context)
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

    def _fail(self, failed: Sequence[RescoreWork], error: Exception) -> None:
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


def _distinct(group: Sequence[RescoreWork]) -> list[NamedGradient]:
    """Return the queries of all, each once: of one call as they are, of several by name, whoever comes first."""
    if len(group) == 1:
        return list(group[0].gradients)
    found = {query.key: query for work in group for query in work.gradients}
    return [found[key] for key in sorted(found)]
