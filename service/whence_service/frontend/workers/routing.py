"""The workers that prepare a request's queries and search its shards: pure functions of generation and queries.

All front ends route a query to the same worker, so that its gradient is computed once and then found in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from whence.v1 import query_pb2
from whence_service.frontend.workers.placement import Generation
from whence_service.rpc.canonical import canonical_bytes


@dataclass(frozen=True, kw_only=True)
class ShardGroup:
    """The shards that one worker scans for a request."""

    worker: str
    shards: tuple[str, ...]
    sequences: int


@dataclass(frozen=True, kw_only=True)
class Route:
    """The worker of each query and of each shard. Every reachable shard occurs exactly once."""

    generation: Generation
    preparers: tuple[str, ...]  # one for each query
    groups: tuple[ShardGroup, ...]

    def owner(self, shard: str) -> str:
        """Return the worker that this request asks about ``shard``; ``KeyError`` for an unknown one."""
        for group in self.groups:
            if shard in group.shards:
                return group.worker
        raise KeyError(shard)


def rendezvous(key: bytes, workers: Sequence[str]) -> str:
    """Return the worker with the highest hash of key and address: losing one moves only its own keys."""
    return workers[0] if len(workers) == 1 else max(workers, key=lambda worker: _weight(key, worker))


def plan_route(generation: Generation, queries: Sequence[query_pb2.Query]) -> Route:
    """Return the route of a request to a generation."""
    keys = [canonical_bytes(query) for query in queries]
    workers = generation.workers
    return Route(
        generation=generation,
        preparers=tuple(rendezvous(key, workers) for key in keys),
        groups=_spread(generation, b"".join(keys)),
    )


def _spread(generation: Generation, key: bytes) -> tuple[ShardGroup, ...]:
    # Largest shards first, each to the holder with the fewest sequences so far: the slowest worker determines the
    # duration of a scan. The hash breaks ties, so that requests with different queries start on different replicas.
    load = dict.fromkeys(generation.workers, 0)
    assigned: dict[str, list[str]] = {}
    for shard in _largest_first(generation):
        if not generation.shards[shard]:
            continue  # only in an answer that may be partial
        worker = _least_loaded(generation.shards[shard], load, key)
        load[worker] += generation.sizes.get(shard, 0)
        assigned.setdefault(worker, []).append(shard)
    order = list(generation.shards)
    return tuple(
        ShardGroup(worker=worker, shards=tuple(sorted(shards, key=order.index)), sequences=load[worker])
        for worker, shards in sorted(assigned.items())
    )


def _least_loaded(holders: Sequence[str], load: Mapping[str, int], key: bytes) -> str:
    return holders[0] if len(holders) == 1 else min(holders, key=lambda name: (load[name], _weight(key, name)))


def _largest_first(generation: Generation) -> Iterable[str]:
    return sorted(generation.shards, key=lambda shard: -generation.sizes.get(shard, 0))


def _weight(key: bytes, worker: str) -> bytes:
    return hashlib.sha256(len(key).to_bytes(8, "little") + key + worker.encode()).digest()
