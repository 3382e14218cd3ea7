"""One request to a model, with everything decided that can be decided before asking a worker."""

from __future__ import annotations

from dataclasses import dataclass

from whence.v1 import query_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.replicas import Replicas
from whence_service.frontend.workers.routing import Route
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class Job:
    """Queries to one generation over one route. ``fields`` say where the request has each of them.

    ``watch`` collects where the time goes. ``partial``: shards that cannot be reached may be missing. ``layers`` are
    the indices of those that influence is computed through, all where there are none; ``query_rank`` is the rank that
    preconditioned queries are kept in, 0: whole. ``replicas`` know who answers for which shard now.
    """

    route: Route
    queries: tuple[query_pb2.Query, ...]
    fields: tuple[str, ...]
    damping_factor: float
    deadline: Deadline
    watch: Stopwatch
    partial: bool = False
    layers: tuple[int, ...] = ()
    query_rank: int = 0
    replicas: Replicas

    @property
    def generation(self) -> Generation:
        """The generation that every worker of the route belongs to."""
        return self.route.generation

    @property
    def generation_proto(self) -> worker_service_pb2.Generation:
        """The digests that every worker checks before it answers."""
        return self.route.generation.id.to_proto()

    @property
    def preconditioning(self) -> worker_service_pb2.Preconditioning:
        """What every worker makes of the queries' gradients."""
        return worker_service_pb2.Preconditioning(
            damping_factor=self.damping_factor, layers=self.layers, rank=self.query_rank
        )

    def shards_of(self, worker: str) -> tuple[str, ...]:
        """Return the shards that a worker holds, for errors that name them."""
        return tuple(shard for shard, holders in self.generation.shards.items() if worker in holders)
