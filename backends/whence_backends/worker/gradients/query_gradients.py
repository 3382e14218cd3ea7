"""The gradients of the queries of one request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from whence_backends.contract import TokenSequence
from whence_backends.worker.gradients.keys import GradientNamer
from whence_backends.worker.gradients.source import GradientSource, NamedGradient
from whence_service.rpc.stages import Stopwatch


class QueryGradients:
    """Names queries and asks a source for all of their gradients at once."""

    def __init__(self, namer: GradientNamer, source: GradientSource) -> None:
        self._namer = namer
        self._source = source

    def __repr__(self) -> str:
        return f"QueryGradients({self._source!r})"

    async def get(self, queries: Sequence[TokenSequence], stopwatch: Stopwatch) -> list[NamedGradient]:
        """Return the gradients in the order of the queries. The first failure is raised and the other requests end."""
        requests = [self._source.get(self._namer.name(query), stopwatch) for query in queries]
        if len(requests) == 1:  # most calls: no task of its own
            return [await requests[0]]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(request) for request in requests]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]
