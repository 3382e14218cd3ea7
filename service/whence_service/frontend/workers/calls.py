"""The calls of one request to workers of one generation: all under its deadline, and with failover."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from whence.errors import UnavailableError
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.workers.client import Method, Named, StreamMethod
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.frontend.workers.replicas import Replicas
from whence_service.frontend.workers.routing import ShardGroup
from whence_service.frontend.workers.tasks import run_all
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.stages import Stopwatch


class WorkerRequest(Named, Protocol):
    """A request to a worker, which names the generation that it is for."""

    @property
    def generation(self) -> worker_service_pb2.Generation:
        """The digests that the worker checks before it answers."""
        ...


class TimedAnswer(Protocol):
    """A worker's answer, which says how long its stages took."""

    @property
    def timings(self) -> Iterable[attribution_pb2.StageTiming]:
        """The seconds of each stage."""
        ...


Q = TypeVar("Q", bound=WorkerRequest)
A = TypeVar("A")
T = TypeVar("T", bound=TimedAnswer)


@dataclass(frozen=True, kw_only=True)
class WorkerCalls:
    """Calls the workers of a request's route, and of their replicas once one is gone.

    This is the one place where a request to a worker gets its generation and its timeout. ``watch`` adds up the stages
    of the call. ``partial``: shards that cannot be reached may be missing from the answer.
    """

    pool: WorkerPool
    generation: Generation
    replicas: Replicas
    deadline: Deadline
    watch: Stopwatch
    partial: bool

    async def ask(self, worker: str, method: Method[Q, T], request: Q) -> T:
        """Return a worker's answer, its timings added to ours.

        Raises the worker's own errors, and :class:`~whence.errors.UnavailableError` where it is gone.
        """
        self._address(request)
        answer = await self.pool.client(worker).ask(method, request, self.deadline, self.shards_of(worker))
        self.watch.merge(answer.timings)
        return answer

    async def stream(self, worker: str, method: StreamMethod[Q, A], request: Q) -> AsyncGenerator[A, None]:
        """Yield a worker's answers, whose timings the caller adds; raises as :meth:`ask`."""
        self._address(request)
        client, shards = self.pool.client(worker), self.shards_of(worker)
        async with aclosing(client.stream(method, request, self.deadline, shards)) as answers:
            async for answer in answers:
                yield answer

    async def ask_holders(
        self, group: ShardGroup, call: Callable[[ShardGroup], Awaitable[A]]
    ) -> list[tuple[ShardGroup, A]]:
        """Return the answers about a group's shards: its worker's or, if that is gone, those of other holders.

        Raises :class:`~whence.errors.UnavailableError` where nobody is left for a shard. Where the answer may be
        partial, the shard is lost instead.
        """
        try:
            return [(group, await call(group))]
        except UnavailableError:
            self.replicas.lose(group.worker)
            if not self.partial and not set(group.shards).isdisjoint(self.replicas.lost):
                raise
        moved = await run_all(self.ask_holders(part, call) for part in self.replicas.groups(group.shards))
        return [answered for part in moved for answered in part]

    async def surviving(self, work: Callable[[], Awaitable[A]]) -> A:
        """Return the result of ``work``, which begins anew when a worker is gone whose shards others hold."""
        while True:
            try:
                return await work()
            except UnavailableError as error:
                if not self.replicas.survive(error):
                    raise

    def shards_of(self, worker: str) -> tuple[str, ...]:
        """Return the shards that a worker holds, for errors that name them."""
        return tuple(shard for shard, holders in self.generation.shards.items() if worker in holders)

    def _address(self, request: WorkerRequest) -> None:
        request.generation.CopyFrom(self.generation.id.to_proto())
