"""Candidates by shared tokens, as in Grosse et al. 2023 (arXiv 2308.03296, §3.2.1): no index, no gradients.

The score of a sequence is Okapi BM25 without its correction for length, since sequences are cut to similar lengths:
Σ over the query's tokens t of idf(t) · f (k1 + 1) / (f + k1), with f how often the sequence has t, k1 = 1.5, and
idf(t) = log((C + 1) / (n(t) + 1/2)) for the n(t) of all C sequences of the corpus that have t. The counts are asked of
every shard first, so that a score does not depend on which sequences share a shard.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from whence import tensors
from whence.errors import InternalError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.context import Job
from whence_service.frontend.search.candidates import Proposal, Proposals, ShardSearch, best_of
from whence_service.frontend.search.index_candidates import NEGATIVE, POSITIVE
from whence_service.frontend.workers.client import WorkerClient
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.frontend.workers.routing import ShardGroup


class TfidfProposer:
    """Asks all shards for the sequences that share the most telling tokens with each query."""

    estimates = False

    def __init__(
        self,
        pool: WorkerPool,
        job: Job,
        *,
        candidates: int,
        direction: attribution_pb2.Direction.ValueType,
        wanted: attribution_pb2.Filter | None,
    ) -> None:
        self._pool = pool
        self._job = job
        self._candidates = candidates
        self._direction = direction
        self._wanted = wanted
        self.search = ShardSearch(pool, job, filtered=wanted is not None)

    async def propose(self) -> list[Proposals]:
        """Return the candidates for each query: the same for both directions."""
        weights = await self._weights()

        async def call(worker: WorkerClient, group: ShardGroup) -> messages.MatchTokensResponse:
            request = messages.MatchTokensRequest(
                generation=self._job.generation_proto,
                queries=weights,
                shards=group.shards,
                candidates=self._candidates,
                filter=self._wanted,
            )
            return await worker.match_tokens(request, self._job.deadline)

        answers = await self.search.ask(call)
        found = [
            best_of(
                (proposal for answer in answers for proposal in _proposals(answer.queries[query])),
                self._candidates,
                sign=1,
            )
            for query in range(len(self._job.queries))
        ]
        return [
            Proposals(
                positive=one if self._direction in POSITIVE else (), negative=one if self._direction in NEGATIVE else ()
            )
            for one in found
        ]

    async def _weights(self) -> list[messages.TokenWeights]:
        """Return what each of the queries' tokens counts, by how rare it is in the corpus."""

        async def call(worker: WorkerClient, group: ShardGroup) -> messages.CountTokensResponse:
            request = messages.CountTokensRequest(
                generation=self._job.generation_proto, queries=self._job.queries, shards=group.shards
            )
            return await worker.count_tokens(request, self._job.deadline)

        return weigh(await ShardSearch(self._pool, self._job, filtered=False).ask(call))


def weigh(answers: Sequence[messages.CountTokensResponse]) -> list[messages.TokenWeights]:
    """Return each query's tokens with count · idf, from what every shard counted. Pure.

    Raises :class:`~whence.errors.InternalError` (``TOKENS_MISMATCH``) where workers read a query differently.
    """
    sequences = sum(answer.sequences_searched for answer in answers)
    first = answers[0].queries
    for answer in answers:
        if [one.tokens for one in answer.queries] != [one.tokens for one in first]:
            raise InternalError(
                "workers of one model read the same query as different tokens; check that they have the same tokenizer",
                reason=Reason.TOKENS_MISMATCH,
            )
    return [
        messages.TokenWeights(
            tokens=query.tokens,
            weights=[
                count * math.log((sequences + 1) / (sum(holding) + 0.5))
                for count, *holding in zip(
                    query.counts, *(answer.queries[number].sequences for answer in answers), strict=True
                )
            ],
        )
        for number, query in enumerate(first)
    ]


def _proposals(found: messages.Matches) -> Iterator[Proposal]:
    for position, score in zip(tensors.unpack(found.positions), tensors.unpack(found.scores), strict=True):
        yield Proposal(position=int(position), estimate=score, error=0.0)
