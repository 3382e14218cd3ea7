"""What admission does with overload, in virtual time: the same each time, on any machine.

    python tests/load/policy.py

A call takes ten batches of one engine, a second together, which gives tenants turns. Calls arrive at random (Poisson),
nine of ten for `busy`, one for `other`. Prints what becomes of them under some bounds of the queue.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from load import virtual_time
from whence.errors import OverloadedError
from whence_service.rpc.admission import Admission
from whence_service.rpc.fair_queue import FairQueue
from whence_service.rpc.identity import ANYONE, enter

BATCHES, BATCH_S = 10, 0.1
ALONE, TWO = {"": 1.0}, {"busy": 0.9, "other": 0.1}


class Engine:
    """One batch at a time, each tenant for the same time."""

    def __init__(self) -> None:
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()
        self._busy = False

    async def batch(self, tenant: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.push(tenant, turn)
        self._next()
        await turn

    def _next(self) -> None:
        if not self._busy and (next_up := self._waiting.pop()) is not None:
            self._busy = True
            self._waiting.begin(next_up[0])
            asyncio.get_running_loop().call_later(BATCH_S, self._end, *next_up)

    def _end(self, tenant: str, turn: asyncio.Future[None]) -> None:
        self._busy = False
        self._waiting.charge(tenant, BATCH_S)
        turn.set_result(None)
        self._next()


@dataclass(kw_only=True)
class Served:
    """The latencies of the calls that were answered, and how many were refused, by tenant."""

    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def p99_s(self) -> float:
        return float(np.percentile([one for part in self.latencies_s.values() for one in part], 99))

    @property
    def answered(self) -> int:
        return sum(map(len, self.latencies_s.values()))

    def share(self, tenant: str) -> float:
        """Return the share of a tenant's calls that were answered."""
        return len(self.latencies_s[tenant]) / (len(self.latencies_s[tenant]) + self.refused[tenant])


async def _simulate(load: float, shares: Mapping[str, float], bounds: Mapping[str, float], seconds: float) -> Served:
    loop, engine = asyncio.get_running_loop(), Engine()
    admission = Admission(**{"max_running": 16, "max_waiting": 128, "clock": loop.time, **bounds})
    served = Served(latencies_s={tenant: [] for tenant in shares}, refused=dict.fromkeys(shares, 0))

    async def call(tenant: str) -> None:
        enter(replace(ANYONE, tenant=tenant))
        arrived_s = loop.time()
        try:
            async with admission.slot():
                for _ in range(BATCHES):
                    await engine.batch(tenant)
        except OverloadedError:
            served.refused[tenant] += 1
        else:
            served.latencies_s[tenant].append(loop.time() - arrived_s)

    async def arrive(tenant: str, rate_per_s: float) -> None:
        chance, calls = random.Random(tenant), list[asyncio.Task[None]]()
        while loop.time() < seconds:
            await asyncio.sleep(chance.expovariate(rate_per_s))
            calls.append(asyncio.create_task(call(tenant)))
        await asyncio.gather(*calls)

    await asyncio.gather(*(arrive(tenant, load * share) for tenant, share in shares.items()))
    return served


def simulate(load: float, shares: Mapping[str, float], *, seconds: float, **bounds: float) -> Served:
    """Return what becomes of calls that arrive for so long at a multiple of what the engine can do."""
    return virtual_time.run(_simulate(load, shares, bounds, seconds))


def row(load: float, bounds: Mapping[str, float]) -> str:
    """Return a row of the table."""
    served = simulate(load, TWO, seconds=3000, **bounds)
    named = ", ".join(f"`{name}` {value:g}" for name, value in bounds.items()) or "default"
    tenants = " | ".join(
        f"{served.share(name):.0%} | {np.percentile(served.latencies_s[name], 99):.1f}" for name in TWO
    )
    return f"| {named} | {load:g} | {served.answered / 3000:.2f} | {served.p99_s:.1f} | {tenants} |"


def main() -> None:
    print("| bounds | load | answered/s | p99 | busy: answered | p99 | other: answered | p99 |")
    print("| --- " + "| ---: " * 7 + "|")
    for bounds in ({}, {"max_running": 3, "max_wait_s": 4}):
        for load in (0.5, 1, 3, 10):
            print(row(load, bounds), flush=True)


if __name__ == "__main__":
    main()
