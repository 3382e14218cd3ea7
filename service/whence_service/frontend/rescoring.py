"""The exact influence of given sequences, from the workers that hold them, as it arrives."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from whence import tensors
from whence.errors import InternalError, UnavailableError
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.job import Job
from whence_service.frontend.merge import worst_of
from whence_service.frontend.pool import WorkerPool
from whence_service.frontend.routing import ShardGroup
from whence_service.frontend.together import raise_first


class Rescoring:
    """Scores positions of the corpus, the first of them first, until all are or the time runs short.

    It begins when it is made: ``until`` is when it ends, so that time is left to describe what was found.

    State: ``wanted``, each worker's positions that were asked for; ``exact``, by position each query's influence as far
    as it has arrived; and ``lost``, whose workers could not be reached, in an answer that may be partial. The caller
    may add to ``lost``, what other calls for the same answer found. The tasks that follow the workers add to all of
    them and set ``_news``.
    """

    def __init__(self, pool: WorkerPool, job: Job, lost: set[ShardGroup] | None = None) -> None:
        self._pool = pool
        self._job = job
        self.until = job.deadline.break_off()
        self.wanted: dict[str, list[int]] = {}
        self.exact: dict[int, Sequence[float]] = {}
        self.lost: set[ShardGroup] = set() if lost is None else lost
        self._truncation_errors: list[Sequence[float]] = []  # of each query, as each worker told
        self._news = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether all that was asked for has arrived, but for what is lost."""
        lost = self._lost_workers
        return all(
            position in self.exact
            for worker, positions in self.wanted.items()
            if worker not in lost
            for position in positions
        )

    @property
    def truncation_errors(self) -> tuple[float, ...]:
        """What keeping each query in a bounded rank cost it, once a worker has told."""
        return worst_of(self._truncation_errors)

    async def run(self, positions: Iterable[int]) -> AsyncGenerator[None, None]:
        """Score positions that were not asked for before, and may be run again with others.

        Yields whenever more has arrived, and ends with all of it, or with what there was time for. Raises what a worker
        failed with; one that could not be reached is ``lost`` where the answer may be partial.
        """
        started = time.perf_counter()
        asked = self._ask(positions)
        tasks = [asyncio.create_task(self._follow(worker, held)) for worker, held in asked.items()]
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
        raise_first(tasks)
        self._job.watch.add("rescore", time.perf_counter() - started)

    def forget_lost(self) -> None:
        """Drop what lost workers told: their shards are missing as a whole, not in part."""
        for worker in self._lost_workers:
            for position in self.wanted.pop(worker, ()):
                self.exact.pop(position, None)

    @property
    def _lost_workers(self) -> set[str]:
        return {group.worker for group in self.lost}

    def _ask(self, positions: Iterable[int]) -> dict[str, list[int]]:
        """Return what is to be asked of each worker now, and remember it."""
        before = {position for held in self.wanted.values() for position in held}
        asked = by_owner(self._job, (position for position in positions if position not in before))
        for worker in self._lost_workers & set(asked):
            del asked[worker]
        for worker, held in asked.items():
            self.wanted.setdefault(worker, []).extend(held)
        return asked

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
            self.forget_lost()
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
