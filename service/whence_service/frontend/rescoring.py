"""The exact influence of given sequences, from the workers that hold them, as it arrives."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Final

from whence import tensors
from whence.errors import InternalError, UnavailableError
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.job import Job
from whence_service.frontend.merge import worst_of
from whence_service.frontend.pool import WorkerPool
from whence_service.frontend.routing import ShardGroup
from whence_service.frontend.together import raise_first

# What is kept of the remaining time for what comes after, and for the way home: a share, and at least so much.
_KEPT_SHARE: Final = 0.1
_KEPT_S: Final = 0.25


class Rescoring:
    """Scores positions of the corpus, the first of them first, until all are or the time runs short.

    State: ``exact``, by position each query's influence as far as it has arrived, and ``lost``, whose workers could not
    be reached, in an answer that may be partial. The tasks that follow the workers add to them and set ``_news``.
    """

    def __init__(self, pool: WorkerPool, job: Job, positions: Iterable[int]) -> None:
        self._pool = pool
        self._job = job
        self.wanted = by_owner(job, positions)
        self.exact: dict[int, Sequence[float]] = {}
        self.lost: set[ShardGroup] = set()
        self._truncation_errors: list[Sequence[float]] = []  # of each query, as each worker told
        self._news = asyncio.Event()

    @property
    def total(self) -> int:
        """How many were asked for."""
        return sum(map(len, self.wanted.values()))

    @property
    def truncation_errors(self) -> tuple[float, ...]:
        """What keeping each query in a bounded rank cost it, once a worker has told."""
        return worst_of(self._truncation_errors)

    async def run(self) -> AsyncGenerator[None, None]:
        """Yield whenever more has arrived, and end with all of it, or with what there was time for.

        Raises what a worker failed with; one that could not be reached is ``lost`` where the answer may be partial.
        """
        started = time.perf_counter()
        left_s = self._job.deadline.remaining_s()
        limit_s = left_s - max(_KEPT_S, _KEPT_SHARE * left_s) if math.isfinite(left_s) else math.inf
        tasks = [asyncio.create_task(self._follow(worker, held)) for worker, held in self.wanted.items()]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        try:
            while not all(task.done() for task in tasks):
                if not await self._news_within(limit_s - (time.perf_counter() - started)):
                    break
                raise_first(tasks)
                if self.exact and not all(task.done() for task in tasks):
                    yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise_first(tasks)
        self._job.watch.add("rescore", time.perf_counter() - started)

    async def _follow(self, worker: str, positions: Sequence[int]) -> None:
        request = messages.RescoreRequest(
            generation=self._job.generation_proto,
            queries=self._job.queries,
            positions=positions,
            preconditioning=self._job.preconditioning,
        )
        shards, left = self._job.shards_of(worker), set(positions)
        try:
            async with aclosing(self._pool.client(worker).rescore(request, self._job.deadline, shards)) as answers:
                async for answer in answers:
                    self._job.watch.merge(answer.timings)
                    self._take(answer)
                    left.difference_update(answer.positions)
        except UnavailableError:
            if not self._job.partial:
                raise
            self.lost.update(group for group in self._job.route.groups if group.worker == worker)
            for position in positions:  # its shards are missing as a whole, not in part
                self.exact.pop(position, None)
            return
        if left:
            raise InternalError(
                f"the worker {worker} scored {len(positions) - len(left)} of {len(positions)} candidates; the ranking "
                "would be wrong, so none is given",
                reason="SCAN_INCOMPLETE",
                worker=worker,
                shards=", ".join(shards),
            )

    def _take(self, answer: messages.RescoreResponse) -> None:
        by_query = tensors.rows(answer.raw_influence) if answer.positions else []
        for number, position in enumerate(answer.positions):
            self.exact[position] = [row[number] for row in by_query]
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


def by_owner(job: Job, positions: Iterable[int]) -> dict[str, list[int]]:
    """Return each worker's positions, in the order given."""
    owned: dict[str, list[int]] = {}
    for position in positions:
        owned.setdefault(job.route.owner(job.generation.shard_of(position)), []).append(position)
    return owned
