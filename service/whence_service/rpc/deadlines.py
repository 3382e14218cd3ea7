"""The deadline of a call, and the part of it that the calls made on its behalf may use.

gRPC for Python does not forward deadlines by itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Final

import grpc

from whence.errors import DeadlineError
from whence.reasons import Reason

# The part of the remaining time that is reserved for merging and for sending the answer.
MARGIN_S: Final = 0.02
# The part that work which can be broken off leaves for later steps: a share of the time left, and at least so much.
_KEPT_SHARE: Final = 0.1
_KEPT_S: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """A time on this process's monotonic clock; never sent to another process."""

    expires_at_s: float = math.inf

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline ``seconds`` from now."""
        return cls(expires_at_s=time.monotonic() + seconds)

    @classmethod
    def of(
        cls,
        context: grpc.aio.ServicerContext[Any, Any],
        *,
        default_s: float = math.inf,
        max_s: float = math.inf,
    ) -> Deadline:
        """Return a call's deadline: the caller's, or ``default_s`` if it set none; at most ``max_s``."""
        remaining_s: float | None = context.time_remaining()
        return cls.after(min(default_s if remaining_s is None else remaining_s, max_s))

    def remaining_s(self) -> float:
        """Return the seconds left; negative once it has passed, infinite without a deadline."""
        return self.expires_at_s - time.monotonic()

    def break_off(self) -> Deadline:
        """Return the moment at which work that can be broken off ends, so that time is left for later steps."""
        left_s = self.remaining_s()
        if math.isinf(left_s):
            return self
        return Deadline(expires_at_s=self.expires_at_s - max(_KEPT_S, _KEPT_SHARE * left_s))

    def forward_s(self, margin_s: float = MARGIN_S) -> float | None:
        """Return the timeout for a call made on this one's behalf; ``None`` where there is no deadline.

        Raises :class:`~whence.errors.DeadlineError` where no time would be left for that call.
        """
        if math.isinf(self.expires_at_s):
            return None
        left_s = self.remaining_s() - margin_s
        if left_s <= 0:
            raise deadline_error("before the next step could begin")
        return left_s


def deadline_error(when: str) -> DeadlineError:
    """Return the error of a call whose deadline passed."""
    return DeadlineError(
        f"the call's deadline passed {when}; allow more time, or ask for less", reason=Reason.DEADLINE_EXCEEDED
    )
