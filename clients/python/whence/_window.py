"""Calls under way at a time, whose answers are given in order. Written for each client, as the connections are."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final, TypeVar

Part = TypeVar("Part")
Answer = TypeVar("Answer")

# So long, at most, Ctrl-C waits.
_WAIT_S: Final = 0.5


async def async_in_order(
    ask: Callable[[Part], Coroutine[Any, Any, list[Answer]]], parts: Iterable[Part], concurrency: int
) -> AsyncGenerator[Answer, None]:
    """Yield the answers of all parts in their order, while ``concurrency`` of them are asked at a time."""
    under_way: deque[asyncio.Task[list[Answer]]] = deque()
    try:
        for part in parts:
            under_way.append(asyncio.create_task(ask(part)))
            if len(under_way) == concurrency:
                for answer in await under_way.popleft():
                    yield answer
        while under_way:
            for answer in await under_way.popleft():
                yield answer
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def in_order(
    ask: Callable[[Part], list[Answer]], parts: Iterable[Part], concurrency: int
) -> Generator[Answer, None, None]:
    """Yield the answers of all parts in their order, while ``concurrency`` of them are asked at a time."""
    under_way: deque[Future[list[Answer]]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="whence-batch")
    try:
        for part in parts:
            under_way.append(pool.submit(ask, part))
            if len(under_way) == concurrency:
                yield from _result(under_way.popleft())
        while under_way:
            yield from _result(under_way.popleft())
    finally:
        # Calls under way end with the client, which the caller may close without waiting for them.
        pool.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[list[Answer]]) -> list[Answer]:
    """Return the answers of a call. A signal that comes in just before a wait is seen by Python when that is over."""
    while not future.done():
        wait([future], timeout=_WAIT_S)
    return future.result()
