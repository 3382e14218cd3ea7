"""Dynamic batching of searches: a plan without a clock, and passes that callers share."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from whence.errors import DeadlineError
from whence_backends.index.search import SearchResult
from whence_backends.topk import Order, TopK
from whence_backends.worker.requests.scope import Scope
from whence_backends.worker.runtime.records import SearchRecord
from whence_backends.worker.searching.search_queue import PendingSearch, SearchQueue, SearchSpec, plan_pass
from whence_service.rpc.deadlines import Deadline


def spec(queries: int = 1, shards: tuple[str, ...] = ("a",), expires_at_s: float = 100.0, k: int = 3) -> SearchSpec:
    return SearchSpec(
        sketches=np.arange(queries, dtype=np.float32).reshape(-1, 1),
        scope=Scope(shards=shards),
        k=k,
        orders=(Order.HIGHEST,),
        deadline=Deadline(expires_at_s=expires_at_s),
    )


async def waiting(*specs: SearchSpec) -> list[PendingSearch]:
    loop = asyncio.get_running_loop()
    return [PendingSearch(spec=spec, result=loop.create_future()) for spec in specs]


async def test_those_who_want_the_same_shards_share_a_pass() -> None:
    first, second, other, third = await waiting(spec(), spec(5), spec(shards=("b",)), spec())
    plan = plan_pass([first, second, other, third], now_s=0)
    assert plan.chosen == (first, second, third)
    assert plan.waiting == (other,)
    assert plan.expired == ()


async def test_those_who_filter_share_a_pass_with_the_same_filter_alone() -> None:
    mask, other = {"a": np.ones(3, bool)}, {"a": np.ones(3, bool)}
    specs = [spec(), *(replace(spec(), scope=Scope(shards=("a",), masks=masks)) for masks in (mask, other, dict(mask)))]
    none, first, second, again = await waiting(*specs)
    assert plan_pass([none, first, second, again], now_s=0).chosen == (none,)
    assert plan_pass([first, second, none, again], now_s=0).chosen == (first, again)


async def test_a_pass_has_no_more_queries_than_it_may() -> None:
    first, second, third = await waiting(spec(3), spec(3), spec(1))
    plan = plan_pass([first, second, third], now_s=0, max_queries=5)
    assert plan.chosen == (first, third)
    assert plan.waiting == (second,)


async def test_tenants_take_turns_however_many_searches_each_has() -> None:
    left = await waiting(*(spec(shards=(name,)) for name in ("a", "b", "c", "d")))
    for search, tenant in zip(left, ("busy", "busy", "busy", "other"), strict=True):
        search.tenant = tenant
    order = []
    while left:
        plan = plan_pass(left, now_s=0)
        order.append(plan.chosen[0].spec.scope.shards[0])
        left = list(plan.waiting)
    assert order == ["a", "d", "b", "c"]


async def test_one_with_more_than_fit_has_a_pass_of_its_own() -> None:
    large, small = await waiting(spec(9), spec(1))
    assert plan_pass([large, small], now_s=0, max_queries=5).chosen == (large,)


async def test_an_expired_or_cancelled_search_is_in_no_pass() -> None:
    late, gone, first = await waiting(spec(expires_at_s=5), spec(), spec())
    gone.result.cancel()
    plan = plan_pass([late, gone, first], now_s=5)
    assert plan.expired == (late,)
    assert plan.chosen == (first,)
    assert plan.waiting == ()


class StubSearcher:
    """Estimates a query's first value of every row, once it may go on."""

    def __init__(self) -> None:
        self.passes: list[tuple[int, int, tuple[Order, ...]]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.closed = False

    def search(self, sketches: Any, shards: Any, k: int, orders: Any, *, keep: Any, on_chunk: Any) -> SearchResult:
        self.passes.append((len(sketches), k, orders))
        self.begun.set()
        while not self.go_on.wait(0.001):
            on_chunk()
        best = {order: TopK(k, order, queries=len(sketches)) for order in orders}
        for top in best.values():
            top.push(np.repeat(sketches, 4, axis=1), np.arange(4))
        return SearchResult(best=best, searched=4)

    def close(self) -> None:
        self.closed = True


async def begun(searcher: StubSearcher) -> None:
    assert await asyncio.to_thread(searcher.begun.wait, 5), "no pass began"


async def test_searches_that_come_during_a_pass_share_the_next() -> None:
    searcher, records = StubSearcher(), []
    queue = SearchQueue(searcher, observe=records.append)  # type: ignore[arg-type]
    endless = float("inf")
    first = asyncio.create_task(queue.search(spec(2, expires_at_s=endless)))
    await begun(searcher)
    later = [asyncio.create_task(queue.search(spec(n, expires_at_s=endless, k=n))) for n in (1, 3)]
    await asyncio.sleep(0)
    searcher.go_on.set()
    assert (await first)[1] == slice(0, 2)
    (result, first_queries), (again, last_queries) = await asyncio.gather(*later)
    assert result is again
    assert (first_queries, last_queries) == (slice(0, 1), slice(1, 4))
    assert result.best[Order.HIGHEST].arrays(last_queries.start + 2)[1].tolist() == [2.0, 2.0, 2.0]
    assert searcher.passes == [(2, 3, (Order.HIGHEST,)), (4, 3, (Order.HIGHEST,))]
    assert [(record.searches, record.queries) for record in records if isinstance(record, SearchRecord)] == [
        (1, 2),
        (2, 4),
    ]
    await queue.close()
    assert searcher.closed


async def test_a_pass_without_callers_ends() -> None:
    """Broken by: a thread that goes on although its caller was cancelled."""
    searcher = StubSearcher()
    queue = SearchQueue(searcher)  # type: ignore[arg-type]
    task = asyncio.create_task(queue.search(spec(expires_at_s=float("inf"))))
    await begun(searcher)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    searcher.begun.clear()
    following = asyncio.create_task(queue.search(spec(expires_at_s=float("inf"))))
    await begun(searcher)  # only once the abandoned pass has ended
    searcher.go_on.set()
    await following
    await queue.close()


async def test_one_that_is_cancelled_takes_nothing_from_the_others() -> None:
    searcher = StubSearcher()
    queue = SearchQueue(searcher)  # type: ignore[arg-type]
    blocking = asyncio.create_task(queue.search(spec(expires_at_s=float("inf"))))
    await begun(searcher)
    leaving, staying = (asyncio.create_task(queue.search(spec(expires_at_s=float("inf")))) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    searcher.go_on.set()
    await blocking
    assert (await staying)[0].searched == 4
    await queue.close()


async def test_a_search_whose_time_runs_out_during_its_pass_fails() -> None:
    searcher, now = StubSearcher(), 0.0
    queue = SearchQueue(searcher, clock=lambda: now)  # type: ignore[arg-type]
    task = asyncio.create_task(queue.search(spec(expires_at_s=1.0)))
    await begun(searcher)
    now = 2.0
    with pytest.raises(DeadlineError, match="while the index was searched"):
        await task
    await queue.close()


async def test_what_goes_wrong_is_told_to_each_who_waits() -> None:
    class Broken(StubSearcher):
        def search(self, *_: Any, **__: Any) -> SearchResult:
            raise ValueError("broken")

    queue = SearchQueue(Broken())  # type: ignore[arg-type]
    specs = [spec(expires_at_s=float("inf")) for _ in range(2)]
    results = await asyncio.gather(*(queue.search(search) for search in specs), return_exceptions=True)
    assert [str(result) for result in results] == ["broken", "broken"]
    await queue.close()
