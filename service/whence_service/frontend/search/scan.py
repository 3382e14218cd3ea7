"""The search without an index: every shard is scanned, by one worker each, all at the same time.

A search is an async generator of :class:`~whence_service.frontend.search.rankings.SearchResult`, each better than the
one before and the last one final. :mod:`whence_service.frontend.calls.attribute` chooses among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from whence.errors import InternalError, UnavailableError
from whence.reasons import Reason
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.rankings import SearchResult, merge_found
from whence_service.frontend.workers.routing import ShardGroup
from whence_service.frontend.workers.tasks import raise_first


class FullScan:
    """One request's scan of every shard. If one worker fails, so does the scan; the others are cancelled.

    The shards of a worker that went away are scanned anew by others that hold them; where nobody does and the answer
    may be partial, they are left out.
    """

    def __init__(
        self,
        context: RequestContext[SearchOptions],
        *,
        progress: bool,
    ) -> None:
        self._context = context
        self._options = context.options
        self._progress = progress
        # State: the newest answer on each group of shards. Its task replaces it and sets _news; results() alone reads
        # it. Answers that nobody read in time are overwritten, so a slow client costs no memory.
        self._latest: dict[ShardGroup, worker_service_pb2.ScanResponse] = {}
        self._news = asyncio.Event()

    async def results(self) -> AsyncGenerator[SearchResult, None]:
        """Yield the rankings so far at every change, and at the end the complete ones."""
        stage = self._context.watch.stage("scan")
        with stage.current():
            tasks = [asyncio.create_task(self._follow(group)) for group in self._context.replicas.groups()]
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
            stage.end()
        raise_first(tasks)
        if not self._latest:
            raise self._context.replicas.nobody_left()
        for answer in self._latest.values():
            self._context.watch.merge(answer.timings)
        yield self._merged()

    async def _follow(self, group: ShardGroup) -> None:
        """Have a group scanned; what its worker leaves undone others begin anew."""
        await self._context.workers.ask_holders(group, self._scan)

    async def _scan(self, group: ShardGroup) -> None:
        request = worker_service_pb2.ScanRequest(
            queries=self._context.request.queries,
            shards=group.shards,
            top_k=self._options.top_k,
            direction=self._options.direction,
            preconditioning=self._context.preconditioning,
            progress=self._progress,
            filter=self._options.filter,
        )
        try:
            async with aclosing(self._context.workers.stream(group.worker, lambda stub: stub.Scan, request)) as answers:
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
            or not (
                last.done
                and last.sequences_scored == (last.sequences_total if self._options.filter else group.sequences)
            )
            or (len(last.candidates) != len(self._context.request.queries))
        ):
            raise InternalError(
                f"the worker {group.worker} ended its scan after {last.sequences_scored if last else 0} of "
                f"{group.sequences} sequences; the ranking would be wrong, so none is given",
                reason=Reason.SCAN_INCOMPLETE,
                worker=group.worker,
                shards=", ".join(group.shards),
            )

    def _merged(self) -> SearchResult:
        with self._context.watch.stage("merge"):
            latest = list(self._latest.values())
            whole = sum(group.sequences for group in self._context.replicas.groups())
            merged = merge_found(
                latest,
                queries=len(self._context.request.queries),
                total=sum(answer.sequences_total for answer in latest) if self._options.filter else whole,
                top_k=self._options.top_k,
                direction=self._options.direction,
            )
            return replace(merged, unreachable=self._context.replicas.lost)
