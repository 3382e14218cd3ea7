"""Candidates: the sequences that some cheap search proposes, of which the best are scored exactly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from whence.errors import InternalError, UnavailableError
from whence.v1 import attribution_pb2
from whence_service.frontend.job import Job
from whence_service.frontend.partial import all_unreachable
from whence_service.frontend.pool import WorkerPool
from whence_service.frontend.routing import ShardGroup
from whence_service.frontend.together import together
from whence_service.frontend.worker_client import WorkerClient


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A sequence that is proposed for one query, the more promising the larger its estimate.

    ``error`` is the standard deviation of the estimate, 0 where it is not one of the influence.
    """

    position: int
    estimate: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """The candidates for one query, best first in each direction."""

    positive: tuple[Proposal, ...] = ()
    negative: tuple[Proposal, ...] = ()


class Answered(Protocol):
    """What every worker's answer to a search says."""

    @property
    def sequences_searched(self) -> int:
        """How many sequences were looked at."""
        ...

    @property
    def timings(self) -> Iterable[attribution_pb2.StageTiming]:
        """Where the time went."""
        ...


A = TypeVar("A", bound=Answered)


class ShardSearch:
    """Asks the owner of each shard for candidates, and keeps count of what they looked at.

    State: ``searched``, sequences by group of shards, and ``lost``, whose workers could not be reached, in an answer
    that may be partial.
    """

    def __init__(self, pool: WorkerPool, job: Job, *, filtered: bool) -> None:
        self._pool = pool
        self._job = job
        self._filtered = filtered
        self.searched: dict[ShardGroup, int] = {}
        self.lost: set[ShardGroup] = set()

    async def ask(self, call: Callable[[WorkerClient, ShardGroup], Awaitable[A]]) -> list[A]:
        """Return the answers of all that can be reached, in the order of the shards.

        Raises :class:`~whence.errors.UnavailableError` where one cannot be, unless the answer may be partial, and where
        none can be; and :class:`~whence.errors.InternalError` for one that did not look at all of its sequences.
        """
        groups = [group for group in self._job.route.groups if group not in self.lost]
        found = await together(self._one(call, group) for group in groups)
        answers = [answer for answer in found if answer is not None]
        if not answers:
            raise all_unreachable(self._job)
        for answer in answers:
            self._job.watch.merge(answer.timings)
        return answers

    async def _one(self, call: Callable[[WorkerClient, ShardGroup], Awaitable[A]], group: ShardGroup) -> A | None:
        try:
            answer = await call(self._pool.client(group.worker), group)
        except UnavailableError:
            if not self._job.partial:
                raise
            self.lost.add(group)
            return None
        if not self._filtered and answer.sequences_searched != group.sequences:
            raise InternalError(
                f"the worker {group.worker} looked at {answer.sequences_searched} of {group.sequences} sequences; "
                "candidates would be missing, so none are given",
                reason="SEARCH_INCOMPLETE",
                worker=group.worker,
                shards=", ".join(group.shards),
            )
        self.searched[group] = answer.sequences_searched
        return answer


class Proposer(Protocol):
    """A cheap search. ``estimates``: whether what it says of a sequence is an estimate of its influence."""

    estimates: bool
    search: ShardSearch

    async def propose(self) -> list[Proposals]:
        """Return the candidates for each query of the job, chosen over all shards at once."""
        ...


def best_of(found: Iterable[Proposal], count: int, *, sign: int) -> tuple[Proposal, ...]:
    """Return the ``count`` best of what the shards proposed, ties to the lower position; ``sign`` -1: the smallest."""
    return tuple(sorted(found, key=lambda one: (-sign * one.estimate, one.position))[:count])
