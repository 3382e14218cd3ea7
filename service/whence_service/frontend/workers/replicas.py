"""The worker that is asked about each shard while one request runs: that of its route or, once it is gone, another.

A request survives the loss of a worker as long as others hold its shards: they are asked instead, within the same
deadline and with the same answer, for a shard's influences depend on nothing but the shard. A worker is gone when it
cannot be reached, when it stops, and when it holds another generation than the request's.
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

    State: the workers that went away, and who owns each shard now. Owner: the event loop, and no method that changes
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
        """The workers of the generation that are still there."""
        return tuple(worker for worker in self._generation.workers if worker not in self._gone)

    @property
    def lost(self) -> tuple[str, ...]:
        """The shards that nobody holds who can be reached, in the corpus's order."""
        return tuple(shard for shard in self._generation.shards if shard not in self._owners)

    def owner(self, shard: str) -> str:
        """Return the worker to ask about ``shard``; ``KeyError`` where it is lost."""
        return self._owners[shard]

    def preparer(self, number: int, key: bytes) -> str:
        """Return the worker that prepares a query, or one for the query's ``key`` where that is gone.

        Raises :class:`~whence.errors.UnavailableError` where none is left.
        """
        if self._preparers[number] not in self._gone:
            return self._preparers[number]
        if not self.workers:
            raise self.nobody_left()
        return rendezvous(key, self.workers)

    def groups(self, shards: Iterable[str] | None = None) -> tuple[ShardGroup, ...]:
        """Return the shards, all by default, by who owns them now; without those that are lost."""
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
        """Take note that a worker is gone, and give each of its shards to the other holder with the fewest."""
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
        """Lose the worker that could not be reached if others hold all that it held; return whether they do."""
        worker = error.details.get("worker", "")
        held = [shard for shard, holders in self._generation.shards.items() if worker in holders]
        if not held or worker in self._gone or not all(self._others(shard, worker) for shard in held):
            return False
        self.lose(worker)
        return True

    def nobody_left(self) -> UnavailableError:
        """Return the error of a call that can reach no shard at all."""
        return UnavailableError(
            f"no worker of {self._generation.id.model!r} could be reached, so there is not even a partial answer; try "
            "again",
            reason=Reason.WORKER_UNAVAILABLE,
            shards=", ".join(self._generation.shards),
        )

    def _others(self, shard: str, worker: str = "") -> list[str]:
        return [other for other in self._generation.shards[shard] if other not in self._gone and other != worker]
