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
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.candidates import Candidate, Candidates, ShardSearch, best_of
from whence_service.frontend.search.policy import NEGATIVE, POSITIVE
from whence_service.frontend.workers.routing import ShardGroup


class TokenCandidates:
    """Asks all shards for the sequences that share the most telling tokens with each query."""

    estimates = False

    def __init__(
        self,
        context: RequestContext[SearchOptions],
    ) -> None:
        self._context = context
        self._options = context.options
        self.search = ShardSearch(context, filtered=context.options.filter is not None)
        self.opposite: Sequence[tuple[Candidate, ...]] = ()

    async def find(self) -> list[Candidates]:
        """Return the candidates for each query: the same for both directions."""
        weights = await self._weights()

        async def call(group: ShardGroup) -> messages.MatchTokensResponse:
            request = messages.MatchTokensRequest(
                queries=weights,
                shards=group.shards,
                candidates=self._options.candidates,
                filter=self._options.filter,
            )
            return await self._context.workers.ask(group.worker, lambda stub: stub.MatchTokens, request)

        answers = await self.search.ask(call)
        rankings = [
            best_of(
                (candidate for answer in answers for candidate in _candidates(answer.queries[query])),
                self._options.candidates,
                sign=1,
            )
            for query in range(len(self._context.request.queries))
        ]
        return [
            Candidates(
                positive=ranking if self._options.direction in POSITIVE else (),
                negative=ranking if self._options.direction in NEGATIVE else (),
            )
            for ranking in rankings
        ]

    async def _weights(self) -> list[messages.TokenWeights]:
        """Return the weight of each query's tokens, by their rarity in the corpus."""

        async def call(group: ShardGroup) -> messages.CountTokensResponse:
            request = messages.CountTokensRequest(queries=self._context.request.queries, shards=group.shards)
            return await self._context.workers.ask(group.worker, lambda stub: stub.CountTokens, request)

        return weigh(await ShardSearch(self._context, filtered=False).ask(call))


def weigh(answers: Sequence[messages.CountTokensResponse]) -> list[messages.TokenWeights]:
    """Return each query's tokens with count · idf, from what every shard counted. Pure.

    Raises :class:`~whence.errors.InternalError` (``TOKENS_MISMATCH``) where workers read a query differently.
    """
    sequences = sum(answer.sequences_searched for answer in answers)
    first = answers[0].queries
    for answer in answers:
        if [query.tokens for query in answer.queries] != [query.tokens for query in first]:
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


def _candidates(matches: messages.Matches) -> Iterator[Candidate]:
    for position, score in zip(tensors.unpack(matches.positions), tensors.unpack(matches.scores), strict=True):
        yield Candidate(position=int(position), estimate=score, error=0.0)
