"""What calls cost their tenants: each is charged before it is admitted, and given back what it did not use."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

from whence.errors import DeadlineError, InvalidRequestError, OverloadedError, WhenceError
from whence.reasons import Reason
from whence_service.quotas.counters import SharedCounts, Taken
from whence_service.quotas.demand import Demand, Shortage
from whence_service.quotas.policy import QuotaPolicy
from whence_service.rpc.identity import current_identity
from whence_service.rpc.records import (
    Observer,
    QuotaRefusalRecord,
    QuotaUseRecord,
    RejectionRecord,
    ignore,
)
from whence_service.rpc.watched_file import WatchedFile

# Added to waits, so that whoever waits so long is not a moment early.
_MARGIN_S: Final = 0.01


class Charge:
    """A call that was charged for at most so many ``sequences``. It says when its turn has come, and what it scored.

    Until it says so, all of them count as scored once its turn has come, and none before.
    """

    def __init__(self, sequences: int) -> None:
        self.sequences = sequences
        self.begun = False
        self._scored: int | None = None

    @property
    def used(self) -> int:
        """The sequences that the call has to pay for."""
        if not self.begun:
            return 0
        return self.sequences if self._scored is None else min(self._scored, self.sequences)

    def begin(self) -> None:
        """Say that the call's turn has come."""
        self.begun = True

    def report(self, scored: int) -> None:
        """Say how many sequences were scored so far."""
        self._scored = scored


class Quotas(Protocol):
    """Decides whether a tenant has enough left for a call."""

    def charged(self, cost: Callable[[], int]) -> AbstractAsyncContextManager[Charge]:
        """Charge the caller for the body of the ``async with``, in which at most ``cost`` sequences are scored.

        What was not used is given back: everything where the call's turn does not come, and the sequences where it
        fails for another reason than its deadline. Raises :class:`~whence.errors.OverloadedError` (``QUOTA_EXCEEDED``)
        where too little is left, and :class:`~whence.errors.InvalidRequestError` (``TOO_LARGE_COST``) where there is
        never enough.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way."""
        ...


class NoQuotas:
    """Lets everyone have everything."""

    @asynccontextmanager
    async def charged(self, cost: Callable[[], int]) -> AsyncIterator[Charge]:
        """Charge nothing."""
        yield Charge(0)

    async def close(self) -> None:
        """Do nothing."""


class TenantQuotas:
    """Charges tenants by the policy of a file.

    State: what is being given back, in tasks that :meth:`close` awaits. Owner: the event loop.
    """

    def __init__(
        self,
        policy: WatchedFile[QuotaPolicy],
        counts: SharedCounts,
        *,
        release: Callable[[], Awaitable[None]],
        observe: Observer = ignore,
    ) -> None:
        self._policy = policy
        self._counts = counts
        self._release = release
        self._observe = observe
        self._giving_back: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<TenantQuotas {self._policy!r} {self._counts!r}>"

    @asynccontextmanager
    async def charged(self, cost: Callable[[], int]) -> AsyncIterator[Charge]:
        """See :class:`Quotas`."""
        tenant, policy = current_identity().tenant, self._policy.content
        charge = Charge(cost())
        taken = await self._take(policy, policy.demands(tenant, charge.sequences))
        taken_at = time.monotonic()
        try:
            yield charge
        except WhenceError as error:
            if not isinstance(error, DeadlineError):
                charge.report(0)
            raise
        finally:
            self._settle(taken, charge, time.monotonic() - taken_at)
            if charge.begun:
                self._observe(QuotaUseRecord(tenant=policy.label(tenant), sequences=charge.used))

    async def close(self) -> None:
        """Give back what is under way, and let go of Redis."""
        await asyncio.gather(*self._giving_back)
        await self._release()

    async def _take(self, policy: QuotaPolicy, demands: tuple[Demand, ...]) -> Taken:
        impossible = next((demand for demand in demands if not demand.possible), None)
        if impossible is not None:
            self._refuse(policy, impossible, Reason.TOO_LARGE_COST)
            raise _never(impossible)
        taken = await self._counts.take(demands)
        if isinstance(taken, Shortage):
            self._refuse(policy, taken.demand, Reason.QUOTA_EXCEEDED)
            raise _exceeded(taken)
        return taken

    def _refuse(self, policy: QuotaPolicy, demand: Demand, reason: Reason) -> None:
        self._observe(RejectionRecord(reason=reason))
        self._observe(QuotaRefusalRecord(tenant=policy.label(demand.tenant), quota=demand.quota))

    def _settle(self, taken: Taken, charge: Charge, elapsed_s: float) -> None:
        unused = {"calls": 0 if charge.begun else 1, "sequences": charge.sequences - charge.used}
        demands = [
            dataclasses.replace(demand, amount=unused[demand.quota])
            for demand in taken.demands
            if unused[demand.quota] and elapsed_s < demand.window_s  # later the window has forgotten what it took
        ]
        if demands:  # beside the call, whose answer does not wait for it, and which may be cancelled
            task = asyncio.create_task(self._counts.give_back(demands, taken.counts))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)


def _never(demand: Demand) -> InvalidRequestError:
    return InvalidRequestError(
        f"the call scores up to {demand.amount:,} sequences, and {_named(demand.tenant)} may have "
        f"{demand.limit.amount:,} scored in {demand.period}: it can never be admitted; ask for fewer candidates or "
        "sequences, search the index instead of scanning, or have the quota raised",
        reason=Reason.TOO_LARGE_COST,
        **_details(demand),
    )


def _exceeded(shortage: Shortage) -> OverloadedError:
    demand, wait_s = shortage.demand, shortage.wait_s + _MARGIN_S
    asked = "this call" if demand.quota == "calls" else f"this call, which scores up to {demand.amount:,}"
    return OverloadedError(
        f"{_named(demand.tenant)} has used {shortage.used:,} of its {demand.limit.amount:,} {demand.quota} in "
        f"{demand.period}, which leaves too little for {asked}; try again in {wait_s:.1f} s",
        reason=Reason.QUOTA_EXCEEDED,
        retry_after_s=wait_s,
        used=shortage.used,
        **_details(demand),
    )


def _named(tenant: str) -> str:
    return f"the tenant {tenant!r}" if tenant else "callers without a tenant, together,"


def _details(demand: Demand) -> dict[str, Any]:
    return {"quota": demand.quota, "limit": demand.limit.amount, "window_s": demand.window_s, "asked": demand.amount}
