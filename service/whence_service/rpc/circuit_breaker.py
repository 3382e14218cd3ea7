"""A circuit breaker: it stops calls to a peer that keeps failing, and tries again after a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Opens after ``failures`` in a row. After ``open_s`` it lets one probe through, which closes or reopens it.

    Every :meth:`allow` that returned true is followed by exactly one of :meth:`succeeded`, :meth:`failed` and
    :meth:`abandoned`. State: the number of failures in a row, the time it opened, whether a probe is under way. Owner:
    the event loop.
    """

    def __init__(self, *, failures: int = 5, open_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._open_s = open_s
        self._clock = clock
        self._failed = 0
        self._opened_at: float | None = None
        self._probing = False

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.state}, failures={self._failed}/{self._limit})"

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        if self._opened_at is None:
            return "closed"
        return "half-open" if self._clock() - self._opened_at >= self._open_s else "open"

    def allow(self) -> bool:
        """Whether the peer may be asked now."""
        state = self.state
        if state == "half-open" and not self._probing:
            self._probing = True
            return True
        return state == "closed"

    def succeeded(self) -> None:
        """The peer answered: earlier failures no longer count."""
        self._failed, self._opened_at, self._probing = 0, None, False

    def failed(self) -> None:
        """The peer failed, or did not answer in time."""
        self._failed += 1
        if self._failed >= self._limit or self._probing:
            self._opened_at = self._clock()
        self._probing = False

    def abandoned(self) -> None:
        """The caller was cancelled before the outcome was known."""
        self._probing = False
