"""Dynamic batching of searches: those that arrive during a pass over the codes share the next one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from whence_backends.index.search import Float32Array, Searcher, SearchResult
from whence_backends.topk import Order
from whence_backends.worker.requests.scope import Scope
from whence_backends.worker.runtime.records import SearchRecord, WorkerObserver, ignore
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.identity import current_identity

# A pass with more queries takes as long as two passes.
MAX_QUERIES: Final = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchSpec:
    """One caller's search: sketches float32 [Q, values], the rows to search, and how many of which ends to return."""

    sketches: Float32Array
    scope: Scope
    k: int
    orders: tuple[Order, ...]
    deadline: Deadline


@dataclass(kw_only=True, eq=False)
class PendingSearch:
    """A search that waits for its pass. ``result`` is cancelled once its caller has left."""

    spec: SearchSpec
    result: asyncio.Future[tuple[SearchResult, slice]] = field(repr=False)
    tenant: str = ""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The next pass: its searches, those whose deadline has passed, and those that go on waiting, as they arrived."""

    chosen: tuple[PendingSearch, ...]
    expired: tuple[PendingSearch, ...]
    waiting: tuple[PendingSearch, ...]


def plan_pass(waiting: Sequence[PendingSearch], now_s: float, max_queries: int = MAX_QUERIES) -> Pass:
    """Return the next pass of the searches that wait, at the time ``now_s``. Pure. Cancelled searches are left out.

    The first search is in it, with all others of the same scope that fit into ``max_queries``. One that has more
    queries than that has a pass of its own. Those that wait on go behind the ones of other tenants, if they are of the
    first one's.
    """
    chosen: list[PendingSearch] = []
    expired: list[PendingSearch] = []
    left: list[PendingSearch] = []
    queries = 0
    for search in waiting:
        count = len(search.spec.sketches)
        if search.result.done():
            continue
        if search.spec.deadline.expires_at_s <= now_s:
            expired.append(search)
        elif not chosen or (search.spec.scope.matches(chosen[0].spec.scope) and queries + count <= max_queries):
            chosen.append(search)
            queries += count
        else:
            left.append(search)
    in_turn = sorted(left, key=lambda search: search.tenant == chosen[0].tenant)
    return Pass(chosen=tuple(chosen), expired=tuple(expired), waiting=tuple(in_turn))


class SearchQueue:
    """Runs searches, one pass at a time, on a thread beside the event loop.

    State: the searches that wait, and the task that runs passes while there are any. Owner: the event loop.
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
        self._waiting: tuple[PendingSearch, ...] = ()
        self._runner: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"SearchQueue(waiting={len(self._waiting)}, {self._searcher!r})"

    async def search(self, spec: SearchSpec) -> tuple[SearchResult, slice]:
        """Return the result of the pass that the search took part in, and the slice of its queries.

        The pass may have been asked for more rows and more orders than the search was. Raises
        :class:`~whence.errors.DeadlineError`. A caller that is cancelled takes nothing from the others.
        """
        search = PendingSearch(
            spec=spec, result=asyncio.get_running_loop().create_future(), tenant=current_identity().tenant
        )
        self._waiting = (*self._waiting, search)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await search.result

    async def close(self) -> None:
        """Cancel the searches that wait, and end the threads."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        for search in self._waiting:
            search.result.cancel()
        await asyncio.to_thread(self._searcher.close)

    async def _run(self) -> None:
        while self._waiting:
            plan = plan_pass(self._waiting, self._clock())
            self._waiting = plan.waiting
            for search in plan.expired:
                search.result.set_exception(deadline_error("while its search waited for its turn"))
            if plan.chosen:
                await self._pass(plan.chosen)

    async def _pass(self, chosen: Sequence[PendingSearch]) -> None:
        abandoned = threading.Event()

        def leave(_: object) -> None:
            if all(search.result.done() for search in chosen):
                abandoned.set()

        for search in chosen:
            search.result.add_done_callback(leave)
        started = self._clock()
        try:
            result = await asyncio.to_thread(self._search, [search.spec for search in chosen], abandoned)
        except _Abandoned:
            return
        except Exception as error:  # for each caller that waits
            for search in chosen:
                if not search.result.done():
                    search.result.set_exception(error)
            return
        queries = 0
        for search in chosen:
            count = len(search.spec.sketches)
            if not search.result.done():
                search.result.set_result((result, slice(queries, queries + count)))
            queries += count
        duration_s = self._clock() - started
        self._observe(
            SearchRecord(searches=len(chosen), queries=queries, sequences=result.searched, duration_s=duration_s)
        )

    def _search(self, specs: Sequence[SearchSpec], abandoned: threading.Event) -> SearchResult:
        last = max(spec.deadline.expires_at_s for spec in specs)

        def check() -> None:
            if abandoned.is_set():
                raise _Abandoned
            if self._clock() > last:
                raise deadline_error("while the index was searched")

        return self._searcher.search(
            np.concatenate([spec.sketches for spec in specs]),
            specs[0].scope.shards,
            max(spec.k for spec in specs),
            tuple(order for order in Order if any(order in spec.orders for spec in specs)),
            keep=specs[0].scope.masks,
            on_chunk=check,
        )


class _Abandoned(Exception):  # noqa: N818 - no caller waits for the pass any more
    pass
