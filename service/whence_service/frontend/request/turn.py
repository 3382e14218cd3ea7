"""A request whose turn has come: it is answered by one generation, and begins anew with the next where that goes.

During a rollout the workers of a generation end while requests that began with it are under way. Each such request has
told its caller nothing that binds it, so it begins again with the generation that the workers hold then: whole, never
with the rest of one and the beginning of another.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import structlog

from whence.errors import UnavailableError, WhenceError
from whence.v1 import attribution_pb2
from whence_service.frontend.request.checked import CheckedRequest
from whence_service.frontend.request.context import RequestContext, build_context
from whence_service.frontend.workers.calls import WorkerCalls
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.frontend.workers.replicas import Replicas
from whence_service.frontend.workers.routing import plan_route
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.records import BegunAnewRecord, Observer
from whence_service.rpc.stages import Stopwatch

# How often a request begins: a rollout takes one more, and one that is rolled back at once another.
_BEGINNINGS: Final = 3

_log: Final = structlog.get_logger(__name__)

Options = TypeVar("Options")
A = TypeVar("A")


class Scored(Protocol):
    """A whole answer, whose metadata say how many sequences were scored for it."""

    @property
    def metadata(self) -> attribution_pb2.ResponseMetadata:
        """What is said of the answer as a whole."""
        ...


S = TypeVar("S", bound=Scored)


@dataclass(frozen=True, kw_only=True)
class Turn(Generic[Options]):
    """Calls the work of a request with a context, and again with another where the workers have changed meanwhile.

    ``report`` is told the number of sequences that were scored.

    Both methods raise :class:`~whence.errors.UnavailableError` where workers are gone and no other generation, nor
    other workers of this one, are there to begin with.
    """

    request: CheckedRequest[Options]
    pool: WorkerPool
    deadline: Deadline
    watch: Stopwatch
    observe: Observer
    answer_bytes: int
    report: Callable[[int], None]

    async def answer(self, work: Callable[[RequestContext[Options]], Awaitable[S]]) -> S:
        """Return the result of ``work``."""
        answer = await self._answer(work)
        self.report(answer.metadata.sequences_scored)
        return answer

    async def _answer(self, work: Callable[[RequestContext[Options]], Awaitable[S]]) -> S:
        for _ in range(_BEGINNINGS - 1):
            context = self._context()
            try:
                return await work(context)
            except UnavailableError:
                if not await self._has_others(context.generation):
                    raise
        return await work(self._context())

    async def stream(
        self, work: Callable[[RequestContext[Options]], AsyncGenerator[A, None]]
    ) -> AsyncGenerator[A, None]:
        """Yield the results of ``work``, for the caller to report. Those of an earlier beginning may come before."""
        for beginning in range(_BEGINNINGS):
            context = self._context()
            try:
                async with aclosing(work(context)) as results:
                    async for result in results:
                        yield result
                return
            except UnavailableError:
                if beginning == _BEGINNINGS - 1 or not await self._has_others(context.generation):
                    raise

    def _context(self) -> RequestContext[Options]:
        generation = self._choose()
        workers = WorkerCalls(
            pool=self.pool,
            generation=generation,
            replicas=Replicas(plan_route(generation, self.request.queries), self.observe),
            deadline=self.deadline,
            watch=self.watch,
            partial=self.request.partial,
        )
        return build_context(self.request, workers, answer_bytes=self.answer_bytes)

    def _choose(self) -> Generation:
        return self.pool.visible.choose(self.request.model, partial=self.request.partial)

    async def _has_others(self, before: Generation) -> bool:
        """Look at the workers again, and return true if the request would begin with others now."""
        await self.pool.refresh()
        with contextlib.suppress(WhenceError):
            now = self._choose()
            if (now.id, now.workers) != (before.id, before.workers):
                self.observe(BegunAnewRecord())
                _log.info("a call begins anew with other workers", model=now.id.model, workers=now.workers)
                return True
        return False
