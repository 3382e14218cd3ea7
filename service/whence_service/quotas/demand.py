"""What a call asks of one limit, and how long it has to wait where there is not enough. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limits import RateLimitItem
from limits.limits import GRANULARITIES


@dataclass(frozen=True, kw_only=True)
class Demand:
    """An ``amount`` of a tenant's ``quota`` (``calls`` or ``sequences``) under one of its limits."""

    tenant: str
    quota: str
    limit: RateLimitItem
    amount: int

    @property
    def possible(self) -> bool:
        """Whether the limit ever has so much."""
        return self.amount <= self.limit.amount

    @property
    def window_s(self) -> int:
        """The time that the limit is for, in seconds."""
        return self.limit.get_expiry()

    @property
    def period(self) -> str:
        """The time that the limit is for, in words."""
        name, count = self.limit.GRANULARITY.name, self.limit.multiples
        return f"a {name}".replace("a hour", "an hour") if count == 1 else f"{count} {name}s"

    def under_share(self, share: float) -> Demand:
        """Return the demand under a share of the limit, of at least 1."""
        kind = GRANULARITIES[self.limit.GRANULARITY.name]
        part = kind(max(1, math.floor(self.limit.amount * share)), self.limit.multiples)
        return Demand(tenant=self.tenant, quota=self.quota, limit=part, amount=self.amount)


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """A demand that was not met: how much of the limit is used, and the seconds until there is enough."""

    demand: Demand
    used: int
    wait_s: float


@dataclass(frozen=True, kw_only=True)
class Window:
    """The counts of a sliding window: ``current`` since its last boundary, ``previous`` from the one before until then.

    The previous count fades: it counts by the share of its time that is left, ``previous_s`` of the window. The current
    one begins to fade in ``boundary_s``.
    """

    previous: int
    previous_s: float
    current: int
    boundary_s: float

    def used(self, demand: Demand) -> int:
        """Return the number that counts now."""
        return max(0, math.floor(self.previous * self.previous_s / demand.window_s) + self.current)

    def wait_s(self, demand: Demand) -> float:
        """Return the time until the demand can be met if nobody else asks, in seconds."""
        room, window_s = demand.limit.amount - demand.amount, demand.window_s
        if self.used(demand) <= room:
            return 0.0
        if self.current <= room and self.previous > 0:
            return max(0.0, self.previous_s - (room + 1 - self.current) * window_s / self.previous)
        kept = min(1.0, max(0.0, (room + 1) / max(1, self.current)))
        return self.boundary_s + window_s * (1 - kept)
