"""Admission of calls: a bounded number run, a bounded number wait, and the others are refused; fair between tenants.

Calls of one tenant run in order of arrival. Between tenants, the next place goes to the one that has had the least time
in places so far. Of the places to run in, a tenant holds three for each that is left to others, at most, so that a call
of another tenant finds one however long the calls of the first take. Where no place to wait in is left, the tenant with
the most waiting calls gives up its last one. Callers without a tenant are one tenant, which may hold all places.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from whence.errors import OverloadedError
from whence.reasons import Reason
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.fair_queue import FairQueue
from whence_service.rpc.identity import current_identity
from whence_service.rpc.records import Observer, QueueRecord, RejectionRecord, WaitRecord, ignore
from whence_service.rpc.tracing import current_trace

_FIRST_GUESS_S: Final = 1.0
# The weight of the newest service time in the running mean, which covers about the last ten calls.
_NEWEST_SHARE: Final = 0.2
_MAX_RETRY_AFTER_S: Final = 60.0
# The places that a tenant may hold for each place that it leaves free.
_HELD_FOR_EACH_FREE: Final = 3

# Its result is the time that the tenant was charged for its slot in advance, in seconds.
_Turn = asyncio.Future[float]


class Admission:
    """Lets ``max_running`` calls run and ``max_waiting`` wait, none of them longer than about ``max_wait_s``."""

    def __init__(
        self,
        max_running: int,
        max_waiting: int,
        observe: Observer = ignore,
        *,
        max_wait_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_running < 1 or max_waiting < 0:
            raise ValueError(f"max_running {max_running} must be at least 1 and max_waiting {max_waiting} at least 0")
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.max_wait_s = max_wait_s
        self._observe = observe
        self._clock = clock
        # State: all below. Owner: the event loop's thread; it changes only between awaits. A waiter whose future has
        # a result owns a slot that _running and _held already count.
        self._running = 0
        self._held: Counter[str] = Counter()
        self._waiting: FairQueue[_Turn] = FairQueue()
        self._service_s: float | None = None

    def __repr__(self) -> str:
        running, waiting = f"{self._running}/{self.max_running}", f"{len(self._waiting)}/{self.max_waiting}"
        return f"<Admission running={running} waiting={waiting}>"

    @asynccontextmanager
    async def slot(self, deadline: Deadline | None = None) -> AsyncIterator[None]:
        """Hold a slot for the duration of the ``async with``, waiting for it if necessary.

        Raises :class:`~whence.errors.OverloadedError` (``QUEUE_FULL``) at once if the queue is full or the wait would
        be too long, or later, when its place in the queue goes to a tenant that has fewer; and
        :class:`~whence.errors.DeadlineError` if the deadline passes first. A waiter that is cancelled leaves the queue.
        """
        tenant = current_identity().tenant
        expected_s = await self._enter(tenant, deadline or Deadline())
        started = self._clock()
        try:
            yield
        finally:
            service_s = self._clock() - started
            self._waiting.charge(tenant, service_s - expected_s)
            self._learn(service_s)
            self._release(tenant)

    def retry_after_s(self) -> float:
        """Estimate the time until a place in the queue is free, from the duration of recent calls, in seconds."""
        return min(_MAX_RETRY_AFTER_S, self._expected_s * (len(self._waiting) + 1) / self.max_running)

    @property
    def _expected_s(self) -> float:
        return _FIRST_GUESS_S if self._service_s is None else self._service_s

    async def _enter(self, tenant: str, deadline: Deadline) -> float:
        """Return once the tenant holds a slot: the seconds that it was charged for it in advance."""
        if deadline.remaining_s() <= 0:
            raise self._expired("before it was its turn")
        # A released slot goes to the first waiter that may have it before it counts as free.
        if self._may_run(tenant):
            self._observe(WaitRecord(wait_s=0.0))
            charged_s = self._grant(tenant)
            self._report()
            return charged_s
        self._require_short_wait(tenant)
        if len(self._waiting) >= self.max_waiting:
            self._make_room(tenant)
        return await self._wait(tenant, deadline)

    async def _wait(self, tenant: str, deadline: Deadline) -> float:
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._waiting.push(tenant, turn)
        self._report()
        started = self._clock()
        remaining_s = deadline.remaining_s()
        longest_s = min(remaining_s, self.max_wait_s)
        try:
            async with asyncio.timeout(None if math.isinf(longest_s) else longest_s):
                return await turn
        except BaseException as error:
            self._leave(tenant, turn)
            if isinstance(error, TimeoutError):
                late = longest_s == remaining_s
                raise (self._expired("while the call waited for its turn") if late else self._too_long()) from None
            raise
        finally:
            wait_s = self._clock() - started
            self._observe(WaitRecord(wait_s=wait_s))
            current_trace().lap("queue", wait_s, None)

    def _leave(self, tenant: str, turn: _Turn) -> None:
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._waiting.charge(tenant, -turn.result())
            self._release(tenant)  # it was granted a slot just as it ended
        elif self._waiting.remove(tenant, turn):
            self._report()

    def _may_run(self, tenant: str) -> bool:
        free = self.max_running - self._running
        if not tenant or not self._held[tenant]:
            return free > 0
        return self._held[tenant] + 1 <= _HELD_FOR_EACH_FREE * (free - 1)

    def _grant(self, tenant: str) -> float:
        self._running += 1
        self._held[tenant] += 1
        charged_s = self._expected_s
        self._waiting.begin(tenant, charged_s)
        return charged_s

    def _release(self, tenant: str) -> None:
        self._running -= 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        while self._running < self.max_running and (next_up := self._waiting.pop(self._may_run)) is not None:
            waiter, turn = next_up
            if not turn.done():  # otherwise its waiter was cancelled and has not yet run
                turn.set_result(self._grant(waiter))
        self._report()

    def _require_short_wait(self, tenant: str) -> None:
        if math.isinf(self.max_wait_s):
            return
        if self._expected_s * (self._waiting.ahead_of(tenant) + 1) / max(1, self._running) > self.max_wait_s:
            raise self._too_long()

    def _make_room(self, tenant: str) -> None:
        """Refuse the last call of the tenant with the most waiting ones: raise where that is the newcomer."""
        displaced = self._waiting.displace(tenant)
        if displaced is None:
            raise self._full()
        if not displaced.done():
            displaced.set_exception(self._full(", and the call made room for one of a tenant with fewer"))

    def _learn(self, service_s: float) -> None:
        before = service_s if self._service_s is None else self._service_s
        self._service_s = before + _NEWEST_SHARE * (service_s - before)

    def _report(self) -> None:
        self._observe(QueueRecord(running=self._running, waiting=len(self._waiting)))

    def _full(self, more: str = "") -> OverloadedError:
        return self._refusal(f"which is all this server takes{more}")

    def _too_long(self) -> OverloadedError:
        return self._refusal(f"and this server has none wait for longer than {self.max_wait_s:g} s")

    def _refusal(self, why: str) -> OverloadedError:
        self._observe(RejectionRecord(reason=Reason.QUEUE_FULL))
        retry_after_s = self.retry_after_s()
        return OverloadedError(
            f"{self._running} calls run and {len(self._waiting)} wait, {why}; try again in {retry_after_s:.1f} s",
            reason=Reason.QUEUE_FULL,
            retry_after_s=retry_after_s,
            running=self._running,
            waiting=len(self._waiting),
        )

    def _expired(self, when: str) -> Exception:
        self._observe(RejectionRecord(reason=Reason.DEADLINE_EXCEEDED))
        return deadline_error(when)
