"""What happened, as data: one frozen record for each event, which metrics and logs consume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One finished call of ours. ``code`` is the gRPC code's name; ``reason`` is empty unless it failed."""

    service: str
    method: str
    code: str
    duration_s: float
    request_id: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class QueueRecord:
    """How many calls run and how many wait, whenever either changes."""

    running: int
    waiting: int


@dataclass(frozen=True, kw_only=True)
class WaitRecord:
    """How long one call waited for its turn, however the wait ended."""

    wait_s: float


@dataclass(frozen=True, kw_only=True)
class RejectionRecord:
    """A call that was sent away before any work was done for it."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """How long one stage of one call took."""

    stage: str
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class WorkersRecord:
    """What the front end reaches: workers that answer, workers that do not, and models that can be asked."""

    reachable: int
    unreachable: int
    models: int


@dataclass(frozen=True, kw_only=True)
class FailoverRecord:
    """A worker went away while a call was under way, which went on with others that hold the same shards."""


Record = CallRecord | QueueRecord | WaitRecord | RejectionRecord | StageRecord | WorkersRecord | FailoverRecord
Observer = Callable[[Record], None]


def ignore(_: Record) -> None:
    """Observe nothing."""


def tee(*observers: Observer) -> Observer:
    """Return an observer that tells each of ``observers``, in order."""

    def tell(record: Record) -> None:
        for observer in observers:
            observer(record)

    return tell
