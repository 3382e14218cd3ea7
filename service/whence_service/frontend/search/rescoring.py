"""The exact influence of given sequences, from the workers that hold them, as it arrives."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from whence import tensors
from whence.errors import InternalError, UnavailableError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.rankings import worst_of
from whence_service.frontend.workers.tasks import raise_first, run_all


class Rescoring:
    """Scores positions of the corpus, the first of them first, until all are or the time runs short.

    It begins when it is made: ``until`` is when it ends, so that time is left to describe the hits.

    When a worker is gone, other holders of its shards score the positions that it left. In an answer that may be
    partial, positions that nobody holds are dropped.

    State: ``wanted``, the positions that were asked for; ``exact``, by position each query's influence as far as it has
    arrived; and ``sequences``, for a caller who follows the progress, by position the sequences without their texts.
    The tasks that follow the workers add to them and set ``_news``.
    """

    def __init__(self, context: RequestContext[object], *, progress: bool = False) -> None:
        self._context = context
        self._progress = progress
        self.until = context.deadline.break_off()
        self.wanted: dict[int, None] = {}
        self.exact: dict[int, Sequence[float]] = {}
        self.sequences: dict[int, attribution_pb2.TrainingSequence] = {}
        self._truncation_errors: list[Sequence[float]] = []  # of each query, as each worker reports them
        self._news = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether every position that was asked for has its influences, except those of lost shards."""
        return all(position in self.exact for position in self._held(self.wanted))

    @property
    def truncation_errors(self) -> tuple[float, ...]:
        """What keeping each query in a bounded rank cost it, once a worker has reported it."""
        return worst_of(self._truncation_errors)

    async def run(self, positions: Iterable[int]) -> AsyncGenerator[None, None]:
        """Score positions that were not asked for before, and may be run again with others.

        Yields whenever more has arrived, and ends with all of it, or with what there was time for. Raises what a worker
        failed with.
        """
        stage = self._context.watch.stage("rescore")
        by_worker = self._ask(positions)
        with stage.current():
            tasks = [asyncio.create_task(self._follow(worker, held)) for worker, held in by_worker.items()]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        try:
            while not all(task.done() for task in tasks):
                if not await self._news_within(self.until.remaining_s()):
                    break
                raise_first(tasks)
                if self.exact and not all(task.done() for task in tasks):
                    yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            stage.end()
        raise_first(tasks)

    def forget_lost(self) -> None:
        """Drop the influences of sequences in lost shards: they are missing as a whole, not in part."""
        held = self._held(self.wanted)
        for position in self.wanted.keys() - held:
            del self.wanted[position]
            self.exact.pop(position, None)

    def _held(self, positions: Iterable[int]) -> list[int]:
        """Return the positions whose shards are not lost."""
        lost = set(self._context.replicas.lost)
        return [
            position for position in positions if not lost or self._context.generation.shard_of(position) not in lost
        ]

    def _ask(self, positions: Iterable[int]) -> dict[str, list[int]]:
        """Return the new positions by worker, and note that they are asked for."""
        fresh = self._held(position for position in positions if position not in self.wanted)
        self.wanted.update(dict.fromkeys(fresh))
        return by_owner(self._context, fresh)

    async def _follow(self, worker: str, positions: Sequence[int]) -> None:
        request = messages.RescoreRequest(
            queries=self._context.request.queries,
            positions=positions,
            preconditioning=self._context.preconditioning,
            progress=self._progress,
        )
        left = set(positions)
        try:
            async with aclosing(self._context.workers.stream(worker, lambda stub: stub.Rescore, request)) as answers:
                async for answer in answers:
                    self._context.watch.merge(answer.timings)
                    self._take(answer)
                    left.difference_update(answer.positions)
        except UnavailableError:
            self._context.replicas.lose(worker)
            held = self._held(positions)
            if not self._context.request.partial and len(held) < len(positions):
                raise
            self.forget_lost()
            # All of them again: influences may depend on the batches in their last bits, and batches on what is asked.
            await run_all(self._follow(other, part) for other, part in by_owner(self._context, held).items())
            return
        if left:
            raise InternalError(
                f"the worker {worker} scored {len(positions) - len(left)} of {len(positions)} candidates; the ranking "
                "would be wrong, so none is given",
                reason=Reason.SCAN_INCOMPLETE,
                worker=worker,
                shards=", ".join(self._context.workers.shards_of(worker)),
            )

    def _take(self, answer: messages.RescoreResponse) -> None:
        by_query = tensors.rows(answer.raw_influence) if answer.positions else []
        for number, position in enumerate(answer.positions):
            self.exact[position] = [row[number] for row in by_query]
        # A worker of an earlier version describes none.
        self.sequences.update(zip(answer.positions, answer.sequences, strict=False))
        self._truncation_errors.append(answer.truncation_errors)
        self._news.set()

    async def _news_within(self, seconds: float) -> bool:
        """Wait for news; False where the time ran out first."""
        try:
            await asyncio.wait_for(self._news.wait(), None if math.isinf(seconds) else max(0.0, seconds))
        except TimeoutError:
            return False
        self._news.clear()
        return True


def by_owner(context: RequestContext[object], positions: Iterable[int]) -> dict[str, list[int]]:
    """Return each worker's positions, in the order given; those of lost shards have no owner: ``KeyError``."""
    owned: dict[str, list[int]] = {}
    for position in positions:
        owned.setdefault(context.replicas.owner(context.generation.shard_of(position)), []).append(position)
    return owned
