"""Query gradients that are asked of another source once, however many calls wait for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from whence_backends.worker.gradients.source import GradientSource, NamedGradient, NamedQuery
from whence_service.rpc.stages import Stopwatch


@dataclass(kw_only=True)
class _Flight:
    """One request to the source that is under way, and how many callers wait for it."""

    key: str
    task: asyncio.Task[NamedGradient]
    waiters: int = 0


class SingleFlight:
    """Merges requests for the same gradient that are under way at the same time.

    A caller that is cancelled takes nothing from the others; a flight without callers is cancelled.
    State: the flights by key. Owner: the event loop; nothing is awaited between looking at a flight and joining or
    leaving it.
    """

    def __init__(self, source: GradientSource) -> None:
        self._source = source
        self._flights: dict[str, _Flight] = {}

    def __repr__(self) -> str:
        return f"SingleFlight(flights={len(self._flights)}, {self._source!r})"

    async def get(self, query: NamedQuery, stopwatch: Stopwatch) -> NamedGradient:
        """Return the gradient, or raise what the source raised. The time counts for the first of several callers."""
        flight = self._join(query, stopwatch)
        try:
            return await asyncio.shield(flight.task)
        finally:
            self._leave(flight)

    def _join(self, query: NamedQuery, stopwatch: Stopwatch) -> _Flight:
        flight = self._flights.get(query.key)
        if flight is None:
            task = asyncio.create_task(self._source.get(query, stopwatch))
            flight = self._flights[query.key] = _Flight(key=query.key, task=task)
            task.add_done_callback(lambda _: self._land(flight))
        flight.waiters += 1
        return flight

    def _leave(self, flight: _Flight) -> None:
        flight.waiters -= 1
        if flight.waiters == 0 and not flight.task.done():
            flight.task.cancel()
            self._forget(flight)

    def _land(self, flight: _Flight) -> None:
        self._forget(flight)
        if not flight.task.cancelled():
            flight.task.exception()  # retrieved: a caller that was cancelled does not look at it

    def _forget(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
