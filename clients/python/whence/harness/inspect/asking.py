"""Asking the service from an evaluation: with a deadline, and with pauses while it is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from whence.aio import AsyncClient
from whence.errors import DeadlineError, InternalError, InvalidRequestError, UnavailableError, WhenceError
from whence.filters import Filter
from whence.options import AttributionOptions, complete
from whence.queries import Query
from whence.reasons import Reason
from whence.results import Attribution

# After so many calls in a row that found no service none is made for a while, so that an evaluation does not wait
# for each of its samples.
FAILURES_BEFORE_PAUSE: Final = 3
PAUSE_S: Final = 30.0


@dataclass(kw_only=True)
class Outage:
    """The failures in a row of one server: when to ask it again. Everything that asks it shares this."""

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    until: float = 0.0

    def check(self) -> None:
        """Raise ``UnavailableError`` during a pause."""
        left_s = self.until - self.clock()
        if left_s > 0:
            raise UnavailableError(
                f"the service was not there {self.failures} times in a row: not asked, for another {left_s:.0f} s",
                reason=Reason.GRPC_UNAVAILABLE,
            )

    def record(self, error: WhenceError | None) -> None:
        """Take what became of a call; another refusal than that of an absent service is an answer too."""
        if isinstance(error, UnavailableError | DeadlineError):
            self.failures += 1
            if self.failures >= FAILURES_BEFORE_PAUSE:
                self.until = self.clock() + PAUSE_S
        else:
            self.failures = 0


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service, and how it is asked. An empty ``server`` is that of ``WHENCE_SERVER``; ``model`` as for clients."""

    top_k: int
    only: Filter | None = None
    server: str = ""
    model: str = ""
    timeout_s: float = 60.0
    outage: Outage = field(default_factory=Outage)

    def __post_init__(self) -> None:
        """Refuse values that no server takes, before an evaluation starts."""
        complete(AttributionOptions, {"top_k": self.top_k})
        if self.timeout_s <= 0:
            raise InvalidRequestError(
                f"timeout_s is {self.timeout_s}: it must be more than 0", reason=Reason.INVALID_FIELD, field="timeout_s"
            )

    def client(self) -> AsyncClient:
        """Return a new client, of the running event loop."""
        given = {"target": self.server} if self.server else {}
        return AsyncClient.from_environment(timeout_s=self.timeout_s, **given)

    async def attribute(self, query: Query, client: AsyncClient | None = None) -> Attribution:
        """Return the answer, by a client of its own unless one is given. Raises ``WhenceError`` and nothing else."""
        try:
            self.outage.check()
            return await self._attribute(query, client)
        except WhenceError:
            raise
        except Exception as error:
            raise InternalError(
                f"the query failed in this process: {type(error).__name__}: {error}", reason=Reason.INTERNAL
            ) from error

    async def _attribute(self, query: Query, client: AsyncClient | None) -> Attribution:
        _require_asyncio()
        try:
            if client is not None:
                answer = await client.attribute(query, top_k=self.top_k, only=self.only, model=self.model)
            else:
                async with self.client() as own:
                    answer = await own.attribute(query, top_k=self.top_k, only=self.only, model=self.model)
        except WhenceError as error:
            self.outage.record(error)
            raise
        self.outage.record(None)
        return answer


def filter_of(only: Mapping[str, Any] | None) -> Filter | None:
    """Return the filter with these fields of :class:`whence.Filter`. Raises ``InvalidRequestError`` for others."""
    if only is None:
        return None
    try:
        return Filter(**only)
    except TypeError as error:
        raise InvalidRequestError(
            f"only is {only!r}: it takes sources, metadata, first_document_id and last_document_id",
            reason=Reason.INVALID_FIELD,
            field="only",
        ) from error


def _require_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        raise InvalidRequestError(
            "the evaluation runs on trio, which gRPC does not support: run it on asyncio",
            reason=Reason.INVALID_SETTINGS,
        ) from error
