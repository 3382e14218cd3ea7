"""The owner of each shard during one request: the worker of its route or, if that is lost, a replica.

A request survives the loss of a worker if others hold its shards. They are asked instead, within the same deadline and
with the same answer, since a shard's influences depend only on the shard. A worker is lost if it cannot be reached, if
it stops, or if it holds another generation than the request's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog

from whence.errors import UnavailableError
from whence.reasons import Reason
from whence_service.frontend.workers.routing import Route, ShardGroup, rendezvous
from whence_service.rpc.records import FailoverRecord, Observer, ignore

_log: Final = structlog.get_logger(__name__)


class Replicas:
    """The owners of a generation's shards during one request.

    State: the lost workers, and the current owner of each shard. Owner: the event loop, and no method that changes
    them awaits.
    """

    def __init__(self, route: Route, observe: Observer = ignore) -> None:
        self._generation = route.generation
        self._preparers = route.preparers
        self._observe = observe
        self._gone: set[str] = set()
        self._owners = {shard: group.worker for group in route.groups for shard in group.shards}

    def __repr__(self) -> str:
        return f"<Replicas {self._owners} gone={sorted(self._gone)}>"

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers of the generation that are not lost."""
        return tuple(worker for worker in self._generation.workers if worker not in self._gone)

    @property
    def lost(self) -> tuple[str, ...]:
        """The shards without a reachable worker, in the order of the corpus."""
        return tuple(shard for shard in self._generation.shards if shard not in self._owners)

    def owner(self, shard: str) -> str:
        """Return the worker to ask about ``shard``; ``KeyError`` if it is lost."""
        return self._owners[shard]

    def preparer(self, number: int, key: bytes) -> str:
        """Return the worker that prepares a query or, if that is lost, another one chosen by the query's ``key``.

        Raises :class:`~whence.errors.UnavailableError` if no worker is left.
        """
        if self._preparers[number] not in self._gone:
            return self._preparers[number]
        if not self.workers:
            raise self.nobody_left()
        return rendezvous(key, self.workers)

    def groups(self, shards: Iterable[str] | None = None) -> tuple[ShardGroup, ...]:
        """Return the shards, all by default, grouped by their current owners, without lost ones."""
        among = set(self._owners if shards is None else shards)
        by_worker: dict[str, list[str]] = {}
        for shard in self._generation.shards:
            if shard in among and shard in self._owners:
                by_worker.setdefault(self._owners[shard], []).append(shard)
        sizes = self._generation.sizes
        return tuple(
            ShardGroup(worker=worker, shards=tuple(held), sequences=sum(sizes.get(shard, 0) for shard in held))
            for worker, held in sorted(by_worker.items())
        )

    def lose(self, worker: str) -> None:
        """Record the loss of a worker, and assign each of its shards to the holder with the fewest."""
        if worker in self._gone:
            return
        self._gone.add(worker)
        moved = [shard for shard, owner in self._owners.items() if owner == worker]
        for shard in moved:
            del self._owners[shard]
            others = self._others(shard)
            if others:
                load = list(self._owners.values())
                self._owners[shard] = min(others, key=lambda other: (load.count(other), other))
        lost = [shard for shard in moved if shard not in self._owners]
        _log.warning("a worker was lost during a call", worker=worker, asked_elsewhere=moved, lost=lost)
        if len(lost) < len(moved) or (self.workers and not moved):
            self._observe(FailoverRecord())

    def survive(self, error: UnavailableError) -> bool:
        """Record the loss of an unreachable worker if others hold all of its shards; return true if they do."""
        worker = error.details.get("worker", "")
        held = [shard for shard, holders in self._generation.shards.items() if worker in holders]
        if not held or worker in self._gone or not all(self._others(shard, worker) for shard in held):
            return False
        self.lose(worker)
        return True

    def nobody_left(self) -> UnavailableError:
        """Return the error of a call that cannot reach any shard."""
        return UnavailableError(
            f"no worker of {self._generation.id.model!r} could be reached, so there is not even a partial answer; try "
            "again",
            reason=Reason.WORKER_UNAVAILABLE,
            shards=", ".join(self._generation.shards),
        )

    def _others(self, shard: str, worker: str = "") -> list[str]:
        return [other for other in self._generation.shards[shard] if other not in self._gone and other != worker]
