"""Admission of calls: a bounded number run, a bounded number wait in order, and the others are refused."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from whence.errors import OverloadedError
from whence.reasons import Reason
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.records import Observer, QueueRecord, RejectionRecord, WaitRecord, ignore

_FIRST_GUESS_S: Final = 1.0
# The weight of the newest service time in the running mean, which covers about the last ten calls.
_NEWEST_SHARE: Final = 0.2
_MAX_RETRY_AFTER_S: Final = 60.0


class Admission:
    """Lets ``max_running`` calls run and ``max_waiting`` wait, first come, first served."""

    def __init__(self, max_running: int, max_waiting: int, observe: Observer = ignore) -> None:
        if max_running < 1 or max_waiting < 0:
            raise ValueError(f"max_running {max_running} must be at least 1 and max_waiting {max_waiting} at least 0")
        self.max_running = max_running
        self.max_waiting = max_waiting
        self._observe = observe
        # State: _running, _waiting and _service_s. Owner: the event loop's thread; they change only between
        # awaits. A waiter whose future has a result owns a slot that _running already counts.
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._service_s: float | None = None

    def __repr__(self) -> str:
        running, waiting = f"{self._running}/{self.max_running}", f"{len(self._waiting)}/{self.max_waiting}"
        return f"<Admission running={running} waiting={waiting}>"

    @asynccontextmanager
    async def slot(self, deadline: Deadline | None = None) -> AsyncIterator[None]:
        """Hold a slot for the duration of the ``async with``, waiting for it if necessary.

        Raises :class:`~whence.errors.OverloadedError` (``QUEUE_FULL``) at once if the queue is full, and
        :class:`~whence.errors.DeadlineError` if the deadline passes first. A waiter that is cancelled
        leaves the queue.
        """
        await self._enter(deadline or Deadline())
        started = time.monotonic()
        try:
            yield
        finally:
            self._learn(time.monotonic() - started)
            self._release()

    def retry_after_s(self) -> float:
        """Estimate the time until a place in the queue is free, from the duration of recent calls, in seconds."""
        service_s = _FIRST_GUESS_S if self._service_s is None else self._service_s
        return min(_MAX_RETRY_AFTER_S, service_s * (len(self._waiting) + 1) / self.max_running)

    async def _enter(self, deadline: Deadline) -> None:
        if deadline.remaining_s() <= 0:
            raise self._expired("before it was its turn")
        # Calls run in order of arrival: a released slot goes to the first waiter before it counts as free.
        if self._running < self.max_running:
            self._running += 1
            self._observe(WaitRecord(wait_s=0.0))
            self._report()
            return
        if len(self._waiting) >= self.max_waiting:
            raise self._full()
        await self._wait(deadline)

    async def _wait(self, deadline: Deadline) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._report()
        started = time.monotonic()
        remaining_s = deadline.remaining_s()
        try:
            async with asyncio.timeout(None if math.isinf(remaining_s) else remaining_s):
                await turn
        except BaseException as error:
            self._leave(turn)
            if isinstance(error, TimeoutError):
                raise self._expired("while the call waited for its turn") from None
            raise
        finally:
            self._observe(WaitRecord(wait_s=time.monotonic() - started))

    def _leave(self, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self._release()  # it was granted a slot just as it ended
        elif turn in self._waiting:
            self._waiting.remove(turn)
            self._report()

    def _release(self) -> None:
        self._running -= 1
        while self._waiting and self._running < self.max_running:
            turn = self._waiting.popleft()
            if not turn.done():  # otherwise its waiter was cancelled and has not yet run
                self._running += 1
                turn.set_result(None)
        self._report()

    def _learn(self, service_s: float) -> None:
        before = service_s if self._service_s is None else self._service_s
        self._service_s = before + _NEWEST_SHARE * (service_s - before)

    def _report(self) -> None:
        self._observe(QueueRecord(running=self._running, waiting=len(self._waiting)))

    def _full(self) -> OverloadedError:
        self._observe(RejectionRecord(reason=Reason.QUEUE_FULL))
        retry_after_s = self.retry_after_s()
        return OverloadedError(
            f"{self._running} calls run and {len(self._waiting)} wait, which is all this server takes; "
            f"try again in {retry_after_s:.1f} s",
            reason=Reason.QUEUE_FULL,
            retry_after_s=retry_after_s,
            running=self._running,
            waiting=len(self._waiting),
        )

    def _expired(self, when: str) -> Exception:
        self._observe(RejectionRecord(reason=Reason.DEADLINE_EXCEEDED))
        return deadline_error(when)
