"""The search without an index: every shard is scanned, by one worker each, all at the same time.

A search is an async generator of :class:`~whence_service.frontend.search.rankings.Found`, each better than the one
before and the last one final. A search with an index is another such generator, chosen in
:mod:`whence_service.frontend.calls.attribute`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from whence.errors import InternalError, UnavailableError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.context import Job
from whence_service.frontend.search.rankings import Found, merge_found
from whence_service.frontend.workers.client import WorkerClient
from whence_service.frontend.workers.concurrency import raise_first
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.frontend.workers.replicas import ask_holders
from whence_service.frontend.workers.routing import ShardGroup


class FullScan:
    """One request's scan of every shard. If one worker fails, so does the scan; the others are cancelled.

    The shards of a worker that went away are scanned anew by others that hold them; where nobody does and the answer
    may be partial, they are left out. ``wanted`` says which sequences count.
    """

    def __init__(
        self,
        pool: WorkerPool,
        job: Job,
        *,
        top_k: int,
        direction: attribution_pb2.Direction.ValueType,
        progress: bool,
        wanted: attribution_pb2.Filter | None = None,
    ) -> None:
        self._pool = pool
        self._job = job
        self._top_k = top_k
        self._direction = direction
        self._progress = progress
        self._wanted = wanted
        # State: the newest answer on each group of shards. Its task replaces it and sets _news; found() alone reads
        # it. Answers that nobody read in time are overwritten, so a slow client costs no memory.
        self._latest: dict[ShardGroup, worker_service_pb2.ScanResponse] = {}
        self._news = asyncio.Event()

    async def found(self) -> AsyncGenerator[Found, None]:
        """Yield what was found so far at every change, and at the end the whole."""
        started = time.perf_counter()
        tasks = [asyncio.create_task(self._follow(group)) for group in self._job.replicas.groups()]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        try:
            while not all(task.done() for task in tasks):
                await self._news.wait()
                self._news.clear()
                raise_first(tasks)
                if self._latest and not all(task.done() for task in tasks):
                    yield self._merged()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise_first(tasks)
        if not self._latest:
            raise self._job.replicas.nobody_left()
        self._job.watch.add("scan", time.perf_counter() - started)
        for answer in self._latest.values():
            self._job.watch.merge(answer.timings)
        yield self._merged()

    async def _follow(self, group: ShardGroup) -> None:
        """Have a group scanned; what its worker leaves undone others begin anew."""
        await ask_holders(self._pool, self._job, group, self._scan)

    async def _scan(self, worker: WorkerClient, group: ShardGroup) -> None:
        request = worker_service_pb2.ScanRequest(
            generation=self._job.generation_proto,
            queries=self._job.queries,
            shards=group.shards,
            top_k=self._top_k,
            direction=self._direction,
            preconditioning=self._job.preconditioning,
            progress=self._progress,
            filter=self._wanted,
        )
        try:
            async with aclosing(worker.scan(request, self._job.deadline)) as answers:
                async for answer in answers:
                    self._latest[group] = answer
                    self._news.set()
        except UnavailableError:
            self._latest.pop(group, None)
            raise
        self._check_whole(group)

    def _check_whole(self, group: ShardGroup) -> None:
        last = self._latest.get(group)
        if (
            last is None
            or not (last.done and last.sequences_scored == (last.sequences_total if self._wanted else group.sequences))
            or (len(last.candidates) != len(self._job.queries))
        ):
            raise InternalError(
                f"the worker {group.worker} ended its scan after {last.sequences_scored if last else 0} of "
                f"{group.sequences} sequences; the ranking would be wrong, so none is given",
                reason=Reason.SCAN_INCOMPLETE,
                worker=group.worker,
                shards=", ".join(group.shards),
            )

    def _merged(self) -> Found:
        with self._job.watch.stage("merge"):
            latest = list(self._latest.values())
            whole = sum(group.sequences for group in self._job.replicas.groups())
            found = merge_found(
                latest,
                queries=len(self._job.queries),
                total=sum(answer.sequences_total for answer in latest) if self._wanted else whole,
                top_k=self._top_k,
                direction=self._direction,
            )
            return replace(found, unreachable=self._job.replicas.lost)
