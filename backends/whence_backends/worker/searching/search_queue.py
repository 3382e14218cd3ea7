"""Dynamic batching of searches: whoever waits while a pass over the codes is under way shares the next one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.index.search import Float32Array, Found, Searcher
from whence_backends.topk import Order
from whence_backends.worker.runtime.records import SearchRecord, WorkerObserver, ignore
from whence_service.rpc.deadlines import Deadline, deadline_error

# Queries of one pass: beyond these a pass takes as long as two.
MAX_QUERIES: Final = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchJob:
    """What one caller wants searched: sketches float32 [Q, values], and how many rows of which ends to return.

    ``keep`` says of each shard which of its rows count; ``None``: all.
    """

    sketches: Float32Array
    shards: tuple[str, ...]
    k: int
    orders: tuple[Order, ...]
    deadline: Deadline
    keep: Mapping[str, NDArray[np.bool_]] | None = None

    def goes_with(self, other: SearchJob) -> bool:
        """Whether one pass can serve both: they want the same rows."""
        if (self.keep is None) != (other.keep is None) or self.shards != other.shards:
            return False
        # Masks of the same filter are the same arrays: the worker keeps them.
        return self.keep is None or all(self.keep[shard] is other.keep[shard] for shard in self.shards)  # type: ignore[index]


@dataclass(kw_only=True, eq=False)
class Waiting:
    """A job that waits for its pass. ``done`` is cancelled where nobody waits for it any more."""

    job: SearchJob
    done: asyncio.Future[tuple[Found, slice]] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The next pass: who is in it, who has run out of time, and who goes on waiting. In order of arrival."""

    chosen: tuple[Waiting, ...]
    expired: tuple[Waiting, ...]
    waiting: tuple[Waiting, ...]


def plan_pass(waiting: Sequence[Waiting], now_s: float, max_queries: int = MAX_QUERIES) -> Pass:
    """Return the next pass of those that wait, at the time ``now_s``. Pure; whoever was cancelled is in no part.

    The first comer is in it, with everybody else who wants the same rows as long as there is room; one with more
    than ``max_queries`` has a pass of its own.
    """
    chosen: list[Waiting] = []
    expired: list[Waiting] = []
    left: list[Waiting] = []
    queries = 0
    for one in waiting:
        count = len(one.job.sketches)
        if one.done.done():
            continue
        if one.job.deadline.expires_at_s <= now_s:
            expired.append(one)
        elif not chosen or (one.job.goes_with(chosen[0].job) and queries + count <= max_queries):
            chosen.append(one)
            queries += count
        else:
            left.append(one)
    return Pass(chosen=tuple(chosen), expired=tuple(expired), waiting=tuple(left))


class SearchQueue:
    """Runs searches, one pass at a time, on a thread beside the event loop.

    State: who waits, and the task that runs passes while somebody does. Owner: the event loop.
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        observe: WorkerObserver = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._searcher = searcher
        self._observe = observe
        self._clock = clock
        self._waiting: tuple[Waiting, ...] = ()
        self._runner: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"SearchQueue(waiting={len(self._waiting)}, {self._searcher!r})"

    async def search(self, job: SearchJob) -> tuple[Found, slice]:
        """Return what a pass found that the job was in, and which of its queries are the job's.

        The pass may have been asked for more rows and more orders than the job was. Raises
        :class:`~whence.errors.DeadlineError`. A caller that is cancelled takes nothing from the others.
        """
        one = Waiting(job=job, done=asyncio.get_running_loop().create_future())
        self._waiting = (*self._waiting, one)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await one.done

    async def close(self) -> None:
        """Cancel who waits and end the threads."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        for one in self._waiting:
            one.done.cancel()
        await asyncio.to_thread(self._searcher.close)

    async def _run(self) -> None:
        while self._waiting:
            plan = plan_pass(self._waiting, self._clock())
            self._waiting = plan.waiting
            for one in plan.expired:
                one.done.set_exception(deadline_error("while its search waited for its turn"))
            if plan.chosen:
                await self._pass(plan.chosen)

    async def _pass(self, chosen: Sequence[Waiting]) -> None:
        abandoned = threading.Event()
        for one in chosen:
            one.done.add_done_callback(lambda _: abandoned.set() if all(c.done.done() for c in chosen) else None)
        started = self._clock()
        try:
            found = await asyncio.to_thread(self._search, [one.job for one in chosen], abandoned)
        except _Abandoned:
            return
        except Exception as error:  # handed to each who waits for it
            for one in chosen:
                if not one.done.done():
                    one.done.set_exception(error)
            return
        queries = 0
        for one in chosen:
            count = len(one.job.sketches)
            if not one.done.done():
                one.done.set_result((found, slice(queries, queries + count)))
            queries += count
        duration_s = self._clock() - started
        self._observe(
            SearchRecord(searches=len(chosen), queries=queries, sequences=found.searched, duration_s=duration_s)
        )

    def _search(self, jobs: Sequence[SearchJob], abandoned: threading.Event) -> Found:
        last = max(job.deadline.expires_at_s for job in jobs)

        def check() -> None:
            if abandoned.is_set():
                raise _Abandoned
            if self._clock() > last:
                raise deadline_error("while the index was searched")

        return self._searcher.search(
            np.concatenate([job.sketches for job in jobs]),
            jobs[0].shards,
            max(job.k for job in jobs),
            tuple(order for order in Order if any(order in job.orders for job in jobs)),
            keep=jobs[0].keep,
            on_chunk=check,
        )


class _Abandoned(Exception):  # noqa: N818 - nobody waits for the pass any more
    pass
