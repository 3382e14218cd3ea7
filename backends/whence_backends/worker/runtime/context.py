"""The context of a call: its deadline, and where its time goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class CallContext:
    """Accompanies a call into every part that works for it."""

    deadline: Deadline = field(default_factory=Deadline)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def require_time(self, progress: str) -> None:
        """Raise :class:`~whence.errors.DeadlineError`, which names the ``progress``, once the deadline has passed."""
        if self.deadline.remaining_s() <= 0:
            raise deadline_error(progress)
