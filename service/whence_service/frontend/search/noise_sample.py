"""The sample that a search of candidates scores to know the noise, after its candidates, and beside their ranking.

It is drawn from all sequences that were searched, and is the same for every query of a generation and a filter, however
the corpus is cut into shards. A search of the index in one direction also has the first candidates of the other scored:
they have the tails of the noise.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import math
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import structlog

from whence import tensors
from whence.errors import DeadlineError, UnimplementedError
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.candidates import Candidate, Candidates, CandidateSearch, ShardSearch
from whence_service.frontend.search.rankings import SearchResult
from whence_service.frontend.search.rescoring import Rescoring
from whence_service.frontend.search.sampled import sampled_influences
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.routing import ShardGroup

_LATE: Final = "the deadline left no time to score a sample of sequences for it; allow more time"
_OLD: Final = "a worker of an older version draws no sample of sequences for it; ask with SEARCH_FULL_SCAN"
_POOR: Final = "the index's estimates say too little of influences to know which are missing; ask with SEARCH_FULL_SCAN"

_log: Final = structlog.get_logger(__name__)


class NoiseSample:
    """One request's sample.

    State: ``_drawn`` and ``_exact``, the positions drawn and the influences of all that was scored, and ``_unknown``,
    why that is not enough. All are empty where no sample was asked for.
    """

    def __init__(self, context: RequestContext[SearchOptions], source: CandidateSearch) -> None:
        self._context = context
        self._source = source
        self._drawn: list[int] = []
        self._exact: dict[int, Sequence[float]] = {}
        self._unknown = ""

    async def score(self, rescoring: Rescoring) -> None:
        """Draw the sample and score it, after ``rescoring`` the candidates, and until that would have ended."""
        if not rescoring.complete:
            self._unknown = _LATE
            return
        left_s = rescoring.until.remaining_s()
        try:
            async with asyncio.timeout(None if math.isinf(left_s) else left_s):
                self._drawn = await self._draw()
        except (TimeoutError, DeadlineError):
            self._unknown = _LATE
            return
        except UnimplementedError as error:
            _log.warning("a worker draws no sequences", error=error.message)
            self._unknown = _OLD
            return
        scoring = Rescoring(self._context)
        scoring.until = rescoring.until
        opposite = (candidate.position for ranking in self._opposite() for candidate in ranking)
        async with aclosing(scoring.run(sorted({*self._drawn, *opposite} - rescoring.exact.keys()))) as news:
            async for _ in news:
                pass
        scoring.forget_lost()
        self._exact = scoring.exact
        if not scoring.complete:
            self._unknown = _LATE

    def add_to(
        self, result: SearchResult, candidates: Sequence[Candidates], exact: Mapping[int, Sequence[float]]
    ) -> SearchResult:
        """Return the result with what is known of each query's influences, or with why nothing is.

        ``exact`` are the influences of the candidates.
        """
        result = replace(result, sequences_sampled=len(self._exact), noise_unknown=self._unknown)
        if self._unknown or not self._drawn:
            return result
        drawn = [position for position in self._drawn if not self._is_lost(position)]
        sampled = tuple(
            sampled_influences(
                {position: row[query] for position, row in (*exact.items(), *self._exact.items())},
                candidates[query],
                opposite,
                drawn,
                result.sequences_searched,
                estimates=self._source.estimates,
            )
            for query, opposite in enumerate(self._opposite())
        )
        return replace(result, sampled=sampled, noise_unknown=_POOR if None in sampled else "")

    async def _draw(self) -> list[int]:
        """Return the positions drawn."""
        options, seed = self._context.options, seed_of(self._context.generation)

        async def call(group: ShardGroup) -> messages.DrawSequencesResponse:
            request = messages.DrawSequencesRequest(
                shards=group.shards, count=options.noise_sample, seed=seed, filter=options.filter
            )
            return await self._context.workers.ask(group.worker, lambda stub: stub.DrawSequences, request)

        with self._context.watch.stage("search"):
            answers = await ShardSearch(self._context, filtered=options.filter is not None).ask(call)
        return merge_drawn(answers, options.noise_sample)

    def _opposite(self) -> list[tuple[Candidate, ...]]:
        """Return the first candidates of the direction that was not asked for, for each query."""
        rankings = self._source.opposite or [()] * len(self._context.request.queries)
        return [
            tuple(
                candidate
                for candidate in ranking[: self._context.options.noise_sample]
                if not self._is_lost(candidate.position)
            )
            for ranking in rankings
        ]

    def _is_lost(self, position: int) -> bool:
        return self._context.generation.shard_of(position) in self._context.replicas.lost


def seed_of(generation: Generation) -> int:
    """Return the seed of a generation's sample: its corpus has the same one with every model and index."""
    return int.from_bytes(hashlib.blake2b(generation.id.corpus_digest.encode(), digest_size=8).digest(), "little")


def merge_drawn(answers: Sequence[messages.DrawSequencesResponse], count: int) -> list[int]:
    """Return the draw of all shards: the positions of the smallest priorities. Ties go to the lower position."""
    draws = (
        (priority, int(position))
        for answer in answers
        for position, priority in zip(tensors.unpack(answer.positions), tensors.unpack(answer.priorities), strict=True)
    )
    return [position for _, position in heapq.nsmallest(count, draws)]
