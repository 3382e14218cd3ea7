"""Candidates from the gradient index: the sequences with the largest estimates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from whence import tensors
from whence.v1 import attribution_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.candidates import Candidate, Candidates, ShardSearch, best_of
from whence_service.frontend.search.policy import NEGATIVE, POSITIVE
from whence_service.frontend.search.preparation import Prepared
from whence_service.frontend.workers.routing import ShardGroup


class IndexCandidates:
    """Searches the indexes of all shards for the largest estimates in each direction.

    State: ``opposite``, of the last search.
    """

    estimates = True

    def __init__(
        self,
        context: RequestContext[SearchOptions],
        prepared: Prepared,
    ) -> None:
        self._context = context
        self._prepared = prepared
        self._options = context.options
        self.search = ShardSearch(context, filtered=context.options.filter is not None)
        self.opposite: Sequence[tuple[Candidate, ...]] = ()

    async def find(self) -> list[Candidates]:
        """Return the candidates for each query."""
        return await self.search_with([query.sketch for query in self._prepared.queries])

    async def search_with(self, sketches: Sequence[tensor_pb2.Tensor]) -> list[Candidates]:
        """Return the candidates for the given sketches, one per query."""
        stacked = _stacked(sketches)
        direction = attribution_pb2.DIRECTION_BOTH if self._options.noise_sample else self._options.direction

        async def call(group: ShardGroup) -> messages.SearchResponse:
            request = messages.SearchRequest(
                sketches=stacked,
                shards=group.shards,
                candidates=self._options.candidates,
                direction=direction,
                filter=self._options.filter,
            )
            return await self._context.workers.ask(group.worker, lambda stub: stub.Search, request)

        answers = await self.search.ask(call)
        candidates = [
            Candidates(
                positive=self._best((answer.positive for answer in answers), query, sign=1)
                if direction in POSITIVE
                else (),
                negative=self._best((answer.negative for answer in answers), query, sign=-1)
                if direction in NEGATIVE
                else (),
            )
            for query in range(len(self._context.request.queries))
        ]
        if direction == self._options.direction:
            return candidates
        if self._options.direction == attribution_pb2.DIRECTION_POSITIVE:
            self.opposite = [of_query.negative for of_query in candidates]
            return [replace(of_query, negative=()) for of_query in candidates]
        self.opposite = [of_query.positive for of_query in candidates]
        return [replace(of_query, positive=()) for of_query in candidates]

    def _best(self, answers: Iterable[Sequence[messages.Estimates]], query: int, *, sign: int) -> tuple[Candidate, ...]:
        candidates = (candidate for answer in answers for candidate in _candidates(answer[query]))
        return best_of(candidates, self._options.candidates, sign=sign)


def _candidates(estimates: messages.Estimates) -> Iterator[Candidate]:
    columns = (tensors.unpack(column) for column in (estimates.positions, estimates.estimates, estimates.errors))
    for position, estimate, error in zip(*columns, strict=True):
        yield Candidate(position=int(position), estimate=estimate, error=error)


def _stacked(sketches: Sequence[tensor_pb2.Tensor]) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(
        data_type=sketches[0].data_type,
        shape=[len(sketches), *sketches[0].shape],
        data=b"".join(sketch.data for sketch in sketches),
    )
