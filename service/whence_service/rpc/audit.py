"""What a server notes of each call for its audit log, and the place of that log among what surrounds a call."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from google.protobuf.message import Message

from whence.errors import WhenceError
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence_service.rpc.identity import Identity, current_identity
from whence_service.rpc.message_parts import parts_of

if TYPE_CHECKING:
    from whence_service.rpc.records import CallRecord


@dataclass(frozen=True, kw_only=True)
class Digests:
    """The model that answered a call, and its artefacts."""

    model: str = ""
    model_digest: str = ""
    factors_digest: str = ""
    corpus_digest: str = ""
    index_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class CallFacts:
    """What is known of a call at its end, in seconds since the epoch, as far as it got.

    ``returned`` are the ids of the corpus's sequences in its answers, without repetitions. Of a call that was refused
    before its request was read, ``request`` is ``None``.
    """

    ended_at: float
    peer: str
    caller: Identity
    request: Message | None
    digests: Digests
    returned: tuple[str, ...]
    sequences_scored: int
    sequences_searched: int


class CallNotes:
    """Collects the facts of one call. Owner: the task of the call."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._request: Message | None = None
        self._digests = Digests()
        self._returned: dict[str, None] = {}
        self._sequences_scored = 0
        self._sequences_searched = 0

    def asked(self, request: object) -> None:
        """Note the request. It is kept as it is, and must not be changed."""
        self._request = request if isinstance(request, Message) else None

    def chosen(self, digests: Digests) -> None:
        """Note which artefacts the call goes to."""
        self._digests = digests

    def answered(self, answer: object) -> None:
        """Note one answer: its sequences, what it cost, and what it was computed from."""
        if not isinstance(answer, Message):
            return
        for sequence in parts_of(answer, attribution_pb2.TrainingSequence):
            if sequence.sequence_id:  # otherwise the request brought it
                self._returned[sequence.sequence_id] = None
        for partial in parts_of(answer, attribution_service_pb2.PartialAttribution):
            self._sequences_scored = partial.sequences_scored
        for metadata in parts_of(answer, attribution_pb2.ResponseMetadata):
            self._sequences_scored = metadata.sequences_scored
            self._sequences_searched = metadata.sequences_searched
            origin = metadata.provenance
            self._digests = Digests(
                model=origin.model,
                model_digest=origin.model_digest,
                factors_digest=origin.factors_digest,
                corpus_digest=origin.corpus_digest,
                index_digest=origin.index_digest,
            )

    def facts(self) -> CallFacts:
        """Return the facts, now that the call ends."""
        return CallFacts(
            ended_at=time.time(),
            peer=self._peer,
            caller=current_identity(),
            request=self._request,
            digests=self._digests,
            returned=tuple(self._returned),
            sequences_scored=self._sequences_scored,
            sequences_searched=self._sequences_searched,
        )


class Audit(Protocol):
    """Writes down every call."""

    @property
    def kept(self) -> bool:
        """Whether calls are written down, so that their facts are worth noting."""
        ...

    def require(self) -> None:
        """Raise :class:`~whence.errors.UnavailableError` (``AUDIT_UNAVAILABLE``) while no call may be answered."""
        ...

    def note(self, record: CallRecord) -> Awaitable[WhenceError | None] | None:
        """Write a finished call down, without waiting.

        Where a call may be answered only once its line is written, the returned object waits for that, and gives the
        error of a call whose line cannot be written.
        """
        ...

    async def close(self) -> None:
        """Write what is not written yet, and release the log."""
        ...


class Unaudited:
    """Writes nothing."""

    kept = False

    def require(self) -> None:
        """Require nothing."""

    def note(self, record: CallRecord) -> None:
        """Forget the record."""

    async def close(self) -> None:
        """Release nothing."""


# Set by the interceptor in the task of each call, if there is an audit.
_current: ContextVar[CallNotes | None] = ContextVar("whence_notes", default=None)


def enter(notes: CallNotes) -> None:
    """Make ``notes`` those of the call that this task serves."""
    _current.set(notes)


def current_notes() -> CallNotes | None:
    """Return the notes of the call being served; ``None`` where nobody reads them."""
    return _current.get()
