"""Open-loop traffic of several tenants: calls arrive when they arrive, whether or not earlier ones are answered."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from whence import status

SERVICE = "whence.v1.AttributionService"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A front end under load: its address, the call that is made, and each tenant's key."""

    address: str
    method: str
    request: bytes
    keys: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One call: when it arrived, how long it took from then on, and the reason of its failure, if it failed."""

    tenant: str
    arrived_s: float
    latency_s: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The outcome of every call of a period, and how long each check of health took meanwhile."""

    outcomes: Sequence[Outcome]
    health_s: Sequence[float] = field(default_factory=list)

    def answered(self, tenant: str = "") -> list[Outcome]:
        """Return the calls, of a tenant or of all, that were answered."""
        return [outcome for outcome in self.outcomes if not outcome.reason and tenant in ("", outcome.tenant)]

    @property
    def arriving_s(self) -> float:
        """The time in which calls arrived."""
        arrivals = [outcome.arrived_s for outcome in self.outcomes]
        return max(arrivals) - min(arrivals)

    @property
    def answering_s(self) -> float:
        """The time from the first arrival until the last answer."""
        ends = [outcome.arrived_s + outcome.latency_s for outcome in self.answered()]
        return max(ends) - min(outcome.arrived_s for outcome in self.outcomes)

    def failures(self) -> dict[str, int]:
        """Return how often each reason was given."""
        reasons = [outcome.reason for outcome in self.outcomes if outcome.reason]
        return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


class Generator:
    """Makes calls of a target, each over its tenant's own connection."""

    def __init__(self, target: Target, channels: Mapping[str, grpc.aio.Channel], timeout_s: float) -> None:
        self._target = target
        self._calls = {
            tenant: channel.unary_unary(f"/{SERVICE}/{target.method}") for tenant, channel in channels.items()
        }
        self._health = health_pb2_grpc.HealthStub(next(iter(channels.values())))
        self._timeout_s = timeout_s

    async def call(self, tenant: str, arrived_s: float) -> Outcome:
        """Make a call that arrived at a time of :func:`time.perf_counter`."""
        reason = ""
        metadata = [("authorization", f"Bearer {self._target.keys[tenant]}")]
        try:
            await self._calls[tenant](self._target.request, metadata=metadata, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            reason = status.from_call(error).reason
        return Outcome(
            tenant=tenant, arrived_s=arrived_s, latency_s=time.perf_counter() - arrived_s, reason=str(reason)
        )

    async def capacity(self, seconds: float, concurrency: int = 16) -> float:
        """Return the calls a second that are answered where there are always some under way."""
        tenants, done, ends_at = list(self._calls), 0, time.perf_counter() + seconds
        started = time.perf_counter()

        async def one_after_the_other(tenant: str) -> None:
            nonlocal done
            while time.perf_counter() < ends_at:
                outcome = await self.call(tenant, time.perf_counter())
                done += not outcome.reason

        await asyncio.gather(*(one_after_the_other(tenants[i % len(tenants)]) for i in range(concurrency)))
        return done / (time.perf_counter() - started)

    async def offer(self, rates_per_s: Mapping[str, float], seconds: float, seed: int = 0) -> Traffic:
        """Have calls of each tenant arrive at its rate (Poisson), and return what became of them."""
        checks, stop = [], asyncio.Event()
        watching = asyncio.create_task(self._watch_health(checks.append, stop))
        arrivals = (
            self._arrive(tenant, rate, seconds, random.Random(f"{seed} {tenant}"))
            for tenant, rate in rates_per_s.items()
        )
        outcomes = [outcome for part in await asyncio.gather(*arrivals) for outcome in part]
        stop.set()
        await watching
        return Traffic(outcomes=outcomes, health_s=checks)

    async def _arrive(self, tenant: str, rate_per_s: float, seconds: float, chance: random.Random) -> list[Outcome]:
        calls: list[Coroutine[None, None, Outcome] | asyncio.Task[Outcome]] = []
        began = arrives_at = time.perf_counter()
        while (arrives_at := arrives_at + chance.expovariate(rate_per_s)) < began + seconds:
            await asyncio.sleep(max(0.0, arrives_at - time.perf_counter()))
            calls.append(asyncio.create_task(self.call(tenant, arrives_at)))
        return list(await asyncio.gather(*calls))

    async def _watch_health(self, note: Callable[[float], None], stop: asyncio.Event) -> None:
        while not stop.is_set():
            started = time.perf_counter()
            answer = await self._health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=30)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            note(time.perf_counter() - started)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.05)


@contextlib.asynccontextmanager
async def generator(target: Target, *, timeout_s: float = 60.0) -> AsyncIterator[Generator]:
    """Give a generator of calls of the target."""
    async with contextlib.AsyncExitStack() as stack:
        channels = {
            tenant: await stack.enter_async_context(
                grpc.aio.insecure_channel(target.address, options=[("grpc.use_local_subchannel_pool", 1)])
            )
            for tenant in target.keys
        }
        yield Generator(target, channels, timeout_s)
