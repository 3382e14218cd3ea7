"""The context of one call: the checked request, the generation that answers it, its deadline and its stopwatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.checked import CheckedRequest, O_co
from whence_service.frontend.request.layers import choose_layers
from whence_service.frontend.request.options import choose_rank
from whence_service.frontend.request.queries import check_lengths
from whence_service.frontend.workers.calls import WorkerCalls
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.replicas import Replicas
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class RequestContext(Generic[O_co]):
    """A checked request to one generation, with everything that is decided before a worker is called.

    ``layers`` are the indices of those that influence is computed through, none for all; ``query_rank`` is the rank
    that preconditioned queries are kept in, 0 for whole ones. A worker's answer about hits or sequences may take
    ``answer_bytes``.
    """

    request: CheckedRequest[O_co]
    workers: WorkerCalls
    damping_factor: float
    layers: tuple[int, ...]
    query_rank: int
    answer_bytes: int

    @property
    def options(self) -> O_co:
        """The options of the request."""
        return self.request.options

    @property
    def generation(self) -> Generation:
        """The generation that every worker of the call belongs to."""
        return self.workers.generation

    @property
    def replicas(self) -> Replicas:
        """The worker that is asked about each shard now."""
        return self.workers.replicas

    @property
    def deadline(self) -> Deadline:
        """The caller's deadline."""
        return self.workers.deadline

    @property
    def watch(self) -> Stopwatch:
        """The time that each stage took."""
        return self.workers.watch

    @property
    def preconditioning(self) -> worker_service_pb2.Preconditioning:
        """How workers precondition the gradients of the queries."""
        return worker_service_pb2.Preconditioning(
            damping_factor=self.damping_factor, layers=self.layers, rank=self.query_rank
        )


def build_context(request: CheckedRequest[O_co], workers: WorkerCalls, *, answer_bytes: int) -> RequestContext[O_co]:
    """Return the context of a request; raise where the model has no such layers."""
    generation = workers.generation
    default, max_whole = generation.model.default_damping_factor, generation.model.limits.max_queries
    return RequestContext(
        request=request,
        workers=workers,
        damping_factor=default if request.damping_factor is None else request.damping_factor,
        layers=choose_layers(request.layers, generation.layers, request.layers_field),
        query_rank=choose_rank(request.query_rank, len(request.queries), max_whole),
        answer_bytes=answer_bytes,
    )


def check_model_limits(request: CheckedRequest[object], generation: Generation) -> None:
    """Raise :class:`~whence.errors.InvalidRequestError` for a query longer than the model takes."""
    check_lengths(request.queries, generation.model.limits, request.query_fields)
