"""Candidates by the gradient index: the sequences that it takes to be the most influential."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from whence import tensors
from whence.v1 import attribution_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.context import Job
from whence_service.frontend.search.candidates import Proposal, Proposals, ShardSearch, best_of
from whence_service.frontend.search.preparation import Prepared
from whence_service.frontend.workers.client import WorkerClient
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.frontend.workers.routing import ShardGroup

POSITIVE: Final = (
    attribution_pb2.DIRECTION_UNSPECIFIED,
    attribution_pb2.DIRECTION_POSITIVE,
    attribution_pb2.DIRECTION_BOTH,
)
NEGATIVE: Final = (attribution_pb2.DIRECTION_NEGATIVE, attribution_pb2.DIRECTION_BOTH)


class IndexProposer:
    """Asks the indexes of all shards for the most influential in each asked direction, by their estimates."""

    estimates = True

    def __init__(
        self,
        pool: WorkerPool,
        job: Job,
        prepared: Prepared,
        *,
        candidates: int,
        direction: attribution_pb2.Direction.ValueType,
        wanted: attribution_pb2.Filter | None,
    ) -> None:
        self._job = job
        self._prepared = prepared
        self._candidates = candidates
        self._direction = direction
        self._wanted = wanted
        self.search = ShardSearch(pool, job, filtered=wanted is not None)

    async def propose(self) -> list[Proposals]:
        """Return the candidates for each query."""
        return await self.search_with([query.sketch for query in self._prepared.queries])

    async def search_with(self, sketches: Sequence[tensor_pb2.Tensor]) -> list[Proposals]:
        """Return the candidates for sketches, one of each query."""
        stacked = _stacked(sketches)

        async def call(worker: WorkerClient, group: ShardGroup) -> messages.SearchResponse:
            request = messages.SearchRequest(
                generation=self._job.generation_proto,
                sketches=stacked,
                shards=group.shards,
                candidates=self._candidates,
                direction=self._direction,
                filter=self._wanted,
            )
            return await worker.search(request, self._job.deadline)

        answers = await self.search.ask(call)
        return [
            Proposals(
                positive=self._best((answer.positive for answer in answers), query, sign=1)
                if self._direction in POSITIVE
                else (),
                negative=self._best((answer.negative for answer in answers), query, sign=-1)
                if self._direction in NEGATIVE
                else (),
            )
            for query in range(len(self._job.queries))
        ]

    def _best(self, answers: Iterable[Sequence[messages.Estimates]], query: int, *, sign: int) -> tuple[Proposal, ...]:
        found = (proposal for answer in answers for proposal in _proposals(answer[query]))
        return best_of(found, self._candidates, sign=sign)


def _proposals(found: messages.Estimates) -> Iterator[Proposal]:
    columns = (tensors.unpack(column) for column in (found.positions, found.estimates, found.errors))
    for position, estimate, error in zip(*columns, strict=True):
        yield Proposal(position=int(position), estimate=estimate, error=error)


def _stacked(sketches: Sequence[tensor_pb2.Tensor]) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(
        data_type=sketches[0].data_type,
        shape=[len(sketches), *sketches[0].shape],
        data=b"".join(sketch.data for sketch in sketches),
    )
