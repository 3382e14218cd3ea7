"""The counts of what tenants have used: in Redis, for all front ends together, or here while Redis is away.

Each limit is a sliding window of the library ``limits``, two numbers for each tenant. Redis is asked within a bounded
time, and not while it keeps failing. What it cannot decide is decided by counts of this process, under a share of each
limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

import structlog
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from whence_service.quotas.demand import Demand, Shortage, Window
from whence_service.rpc.circuit_breaker import CircuitBreaker
from whence_service.rpc.records import Observer, QuotaFallbackRecord, ignore

_log: Final = structlog.get_logger(__name__)

Storage: TypeAlias = MemoryStorage | RedisStorage


class Counts:
    """The windows in one storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._windows = SlidingWindowCounterRateLimiter(storage)

    async def take(self, demands: Sequence[Demand]) -> Shortage | None:
        """Count what is asked, all of it or, where a limit lacks it, nothing: the shortage is returned."""
        for number, demand in enumerate(demands):
            if not await self._windows.hit(demand.limit, *_names(demand), cost=demand.amount):
                await self.give_back(demands[:number])
                return await self._shortage(demand)
        return None

    async def give_back(self, demands: Sequence[Demand]) -> None:
        """Count less again."""
        for demand in demands:
            await self._windows.hit(demand.limit, *_names(demand), cost=-demand.amount)

    async def _shortage(self, demand: Demand) -> Shortage:
        key, window_s = demand.limit.key_for(*_names(demand)), demand.window_s
        previous, previous_s, current, current_s = await self._storage.get_sliding_window(key, window_s)
        boundary_s = max(0.0, current_s - window_s)
        window = Window(previous=previous, previous_s=previous_s, current=current, boundary_s=boundary_s)
        return Shortage(demand=demand, used=window.used(demand), wait_s=window.wait_s(demand))


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was counted, and where."""

    demands: tuple[Demand, ...]
    counts: Counts


class SharedCounts:
    """Takes from the counts that all front ends share, or from ``share`` of each limit by itself.

    ``shared`` is None where there is one front end only. State: whether Redis is worth asking. Owner: the event loop.
    """

    def __init__(
        self,
        local: Counts,
        shared: Counts | None,
        *,
        share: float,
        timeout_s: float,
        breaker: CircuitBreaker,
        observe: Observer = ignore,
    ) -> None:
        self._local = local
        self._shared = shared
        self._share = share
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._observe = observe

    def __repr__(self) -> str:
        return f"<SharedCounts {'local' if self._shared is None else self._breaker.state}>"

    async def take(self, demands: Sequence[Demand]) -> Taken | Shortage:
        """Count what is asked, all of it or nothing."""
        if self._shared is not None and self._breaker.allow():
            try:
                async with asyncio.timeout(self._timeout_s):
                    shortage = await self._shared.take(demands)
            except Exception as error:
                self._breaker.failed()
                _log.warning("quotas are counted by this process alone: Redis failed", why=f"{type(error).__name__}")
            except BaseException:
                self._breaker.abandoned()
                raise
            else:
                self._breaker.succeeded()
                return shortage or Taken(demands=tuple(demands), counts=self._shared)
        if self._shared is not None:
            self._observe(QuotaFallbackRecord())
        part = tuple(demand.under_share(self._share) for demand in demands)
        return await self._local.take(part) or Taken(demands=part, counts=self._local)

    async def give_back(self, demands: Sequence[Demand], counts: Counts) -> None:
        """Count less again, where it was counted; what Redis does not take back in time stays counted."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await counts.give_back(demands)
        except Exception as error:
            _log.warning("a quota was not given back: Redis failed", why=f"{type(error).__name__}")


def _names(demand: Demand) -> tuple[str, str]:
    return quote(demand.tenant, safe=""), demand.quota
