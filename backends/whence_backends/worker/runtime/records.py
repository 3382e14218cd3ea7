"""Events in a worker as data: one frozen record for each. Metrics and logs consume them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import structlog


class CacheOutcome(Enum):
    """The outcome of an operation on the gradient cache. All but ``HIT`` and ``STORED`` cost time and nothing else."""

    HIT = "hit"
    MISS = "miss"
    STORED = "stored"
    ERROR = "error"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    CORRUPT = "corrupt"
    SKIPPED = "skipped"  # the circuit breaker is open


_TROUBLE = (CacheOutcome.ERROR, CacheOutcome.TIMEOUT, CacheOutcome.CORRUPT)


@dataclass(frozen=True, kw_only=True)
class CacheRecord:
    """One operation (``get`` or ``put``) on one layer (``memory`` or ``redis``) of the gradient cache.

    A value that cannot be decoded gives a second record, of the layer ``gradient``, with the outcome ``CORRUPT``.
    """

    layer: str
    operation: str
    outcome: CacheOutcome
    key: str
    duration_s: float = 0.0
    size_bytes: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job of the engine's thread: its waiting time and its running time."""

    stage: str
    wait_s: float
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """One batch of training sequences that was scored. ``padded_tokens`` counts the padding, too."""

    sequences: int
    tokens: int
    padded_tokens: int
    queries: int


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """One pass over the codes of an index: the searches that shared it, their queries, and the sequences searched."""

    searches: int
    queries: int
    sequences: int
    duration_s: float


WorkerRecord = CacheRecord | JobRecord | BatchRecord | SearchRecord
WorkerObserver = Callable[[WorkerRecord], None]


def ignore(_: WorkerRecord) -> None:
    """Ignore the record."""


def tee(*observers: WorkerObserver) -> WorkerObserver:
    """Return an observer that passes each record on to all ``observers``, in order."""

    def observe(record: WorkerRecord) -> None:
        for observer in observers:
            observer(record)

    return observe


def log_trouble(record: WorkerRecord) -> None:
    """Log failures of the gradient cache. Answers stay right, but take longer."""
    if isinstance(record, CacheRecord) and record.outcome in _TROUBLE:
        structlog.get_logger("whence.cache").warning(
            "gradient cache failed",
            layer=record.layer,
            operation=record.operation,
            outcome=record.outcome.value,
            key=record.key,
            why=record.why,
        )
