"""Running coroutines as one: all succeed, or the first failure is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def run_all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in the order of ``work``; all have ended when this returns or raises."""
    work = list(work)
    if len(work) == 1:  # as for most requests, which ask one worker: no task is needed
        return [await work[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in work]
    except BaseExceptionGroup as failures:
        # The first to fail is why the others were cancelled; clients get one error, not a group.
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def raise_first(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Raise what the first task failed with, if one did."""
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error
