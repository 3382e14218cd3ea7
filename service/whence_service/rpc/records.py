"""Events as data: one frozen record for each, which metrics and logs consume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whence_service.rpc.audit import CallFacts


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """A finished call. ``code`` is the name of its gRPC code; ``reason`` is empty unless it failed.

    ``trace_id`` is empty for a call without a trace; ``trace_kept`` says whether the trace can be looked up. There are
    ``facts`` if there is an audit log.
    """

    service: str
    method: str
    code: str
    duration_s: float
    request_id: str
    reason: str = ""
    trace_id: str = ""
    trace_kept: bool = False
    facts: CallFacts | None = None


@dataclass(frozen=True, kw_only=True)
class QueueRecord:
    """The numbers of calls that run and that wait, whenever either changes."""

    running: int
    waiting: int


@dataclass(frozen=True, kw_only=True)
class WaitRecord:
    """The time that a call waited for its turn, however the wait ended."""

    wait_s: float


@dataclass(frozen=True, kw_only=True)
class RejectionRecord:
    """A call that was refused before any work was done for it."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class QuotaUseRecord:
    """A call that a tenant was charged for, and the sequences of it. Few tenants have a name here."""

    tenant: str
    sequences: int


@dataclass(frozen=True, kw_only=True)
class QuotaRefusalRecord:
    """A call that was refused because a tenant has too little left of a quota: ``calls`` or ``sequences``."""

    tenant: str
    quota: str


@dataclass(frozen=True, kw_only=True)
class QuotaFallbackRecord:
    """A decision about a quota that was taken by this process alone, because Redis could not be asked."""


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """The duration of a stage of a call."""

    stage: str
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class WorkersRecord:
    """The numbers of workers that answer and that do not, and of models that can be asked and that lack a shard."""

    reachable: int
    unreachable: int
    models: int
    incomplete: int


@dataclass(frozen=True, kw_only=True)
class FailoverRecord:
    """The loss of a worker during a call that went on with others which hold the same shards."""


@dataclass(frozen=True, kw_only=True)
class DrainRecord:
    """A server that drains. Calls still in flight are cancelled at ``ends_at``, in seconds since the epoch."""

    ends_at: float


@dataclass(frozen=True, kw_only=True)
class BegunAnewRecord:
    """A call that began again with other workers, because those that it began with are gone."""


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """A line of the audit log that was ``written``, ``failed``, or was ``dropped`` because too many waited."""

    outcome: str


@dataclass(frozen=True, kw_only=True)
class CertificateRecord:
    """The certificates that one end of TLS uses: their ends in seconds since the epoch, by setting.

    ``reloaded``: they have just replaced others. ``rejected``: the files have others, which cannot be used.
    """

    hop: str
    expires_at: tuple[tuple[str, float], ...]
    reloaded: bool
    rejected: bool


Record = (
    CallRecord
    | QueueRecord
    | WaitRecord
    | RejectionRecord
    | StageRecord
    | WorkersRecord
    | FailoverRecord
    | BegunAnewRecord
    | QuotaUseRecord
    | QuotaRefusalRecord
    | QuotaFallbackRecord
    | CertificateRecord
    | AuditRecord
    | DrainRecord
)
Observer = Callable[[Record], None]


def ignore(_: Record) -> None:
    """Ignore a record."""


def tee(*observers: Observer) -> Observer:
    """Return an observer that passes records to each of ``observers``, in order."""

    def observe(record: Record) -> None:
        for observer in observers:
            observer(record)

    return observe
