"""Retries, and the deadline of all attempts of a call."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Final

from whence.errors import InvalidRequestError, OverloadedError, WhenceError
from whence.reasons import Reason

# Added to the wait that a server asks for, so that callers refused together do not come back together.
SPREAD: Final = 0.25
# A longer wait for a quota is the caller's to decide about: it may last a day, while a queue moves on.
LONGEST_WAIT_FOR_QUOTA_S: Final = 30.0
# gRPC counts deadlines in milliseconds, in an integer that must hold them; after a year nobody waits.
FOREVER_S: Final = 365 * 86_400.0
# The waits that a service config takes: they are written in milliseconds, and must not be 0.
_SHORTEST_S: Final = 0.001
_LONGEST_S: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """The policy by which gRPC itself retries calls to an unavailable server.

    Every unary method is idempotent. Waits are random, at most ``initial_backoff_s`` at first, then ``multiplier``
    times longer up to ``max_backoff_s``. gRPC makes at most five attempts, whatever ``max_attempts`` is. A stream is
    not retried once it has answered.
    """

    max_attempts: int = 4
    initial_backoff_s: float = 0.2
    max_backoff_s: float = 5.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values that gRPC would ignore, or fail on in a later call."""
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise _not_a_policy("max_attempts", self.max_attempts, "a whole number from 1 to 5")
        for name in ("initial_backoff_s", "max_backoff_s", "multiplier"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not _SHORTEST_S <= value <= _LONGEST_S:
                raise _not_a_policy(name, value, f"a number from {_SHORTEST_S:g} to {_LONGEST_S:,}")


def _not_a_policy(name: str, value: object, expected: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name} of a RetryPolicy is {value!r}: it must be {expected}", reason=Reason.INVALID_RETRY_POLICY, field=name
    )


DEFAULT_RETRY: Final = RetryPolicy()


class Deadline:
    """The time by which a call must end, all its attempts included."""

    def __init__(self, timeout_s: float) -> None:
        if not isinstance(timeout_s, int | float) or not timeout_s > 0:
            raise InvalidRequestError(
                f"timeout_s is {timeout_s!r}: it must be more than 0 seconds",
                reason=Reason.INVALID_TIMEOUT,
                field="timeout_s",
            )
        self._ends_at = time.monotonic() + min(timeout_s, FOREVER_S)

    def left_s(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._ends_at - time.monotonic())


def wait_s(error: WhenceError, deadline: Deadline, *, retry_overload: bool) -> float | None:
    """Return the wait before the next attempt in seconds, or None where the call has failed for good.

    Only calls that were refused for load are made again here, and only where the wait that the server asks for ends
    before the deadline and, for a quota, is no longer than :data:`LONGEST_WAIT_FOR_QUOTA_S`. A full queue and gRPC's
    own limits share a status code; the reasons of the latter begin with ``GRPC_``.
    """
    if not retry_overload or not isinstance(error, OverloadedError) or error.reason.startswith("GRPC_"):
        return None
    if error.reason == Reason.QUOTA_EXCEEDED and error.retry_after_s > LONGEST_WAIT_FOR_QUOTA_S:
        return None
    wait = error.retry_after_s * (1 + SPREAD * random.random())
    return wait if wait < deadline.left_s() else None
