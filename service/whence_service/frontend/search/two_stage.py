"""Two-stage searches: a cheap search names candidates of all shards, and the best of them are scored exactly.

With a refinement the candidates are scored in two rounds, and the second is chosen by what the first showed.
Candidates are chosen over all shards at once, so that the answer does not depend on how the corpus is cut into shards.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import structlog

from whence.errors import DeadlineError
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.candidates import (
    Candidates,
    CandidateSearch,
    distinct_positions,
    in_order_of_promise,
    reachable,
)
from whence_service.frontend.search.early_stop import EarlyStop
from whence_service.frontend.search.noise_sample import NoiseSample
from whence_service.frontend.search.rankings import SearchResult, rank_estimated, rank_scored
from whence_service.frontend.search.recall import with_recall
from whence_service.frontend.search.refinement import Refinement
from whence_service.frontend.search.rescoring import Rescoring
from whence_service.rpc.deadlines import deadline_error
from whence_service.shrinkage.distribution import Distribution

# The share of the time left for scoring that choosing the second round may take: the round itself comes after.
_REFINING_SHARE: Final = 0.25

_log: Final = structlog.get_logger(__name__)


class TwoStageSearch:
    """One request's two-stage search: find candidates, score some, refine, score what of the rest matters, rank."""

    def __init__(
        self,
        context: RequestContext[SearchOptions],
        source: CandidateSearch,
        *,
        refinement: Refinement | None,
        progress: bool,
    ) -> None:
        self._context = context
        self._source = source
        self._refinement = refinement
        self._progress = progress
        self._stop = EarlyStop(
            queries=len(context.request.queries),
            top_k=context.options.top_k,
            at_recall=context.options.stop_at_recall if source.estimates else 1.0,
        )

    async def estimates(self) -> AsyncGenerator[SearchResult, None]:
        """Yield the ranking of the candidates by their estimates, none of them scored."""
        candidates = await self._find()
        generation, top_k = self._context.generation, self._context.options.top_k
        yield SearchResult(
            rankings=tuple(rank_estimated(generation, of_query, top_k) for of_query in candidates),
            sequences_scored=0,
            sequences_total=0,
            sequences_searched=self._sequences_searched,
            unreachable=self._context.replicas.lost,
        )

    async def results(self) -> AsyncGenerator[SearchResult, None]:
        """Yield the ranking at every change, if progress is wanted, and at the end the complete one.

        Fewer candidates are scored than were asked for where they are not needed, or where the time runs out, and the
        result says which. Raises
        :class:`~whence.errors.DeadlineError` where there was time for none.
        """
        candidates = await self._find()
        rescoring = Rescoring(self._context, progress=self._progress)
        if self._refinement is not None:
            first = self._refinement.first_round(candidates, self._sequences_searched)
            async with aclosing(self._score(rescoring, candidates, first)) as steps:
                async for step in steps:
                    yield step
            if rescoring.complete:
                candidates = await self._refine(self._refinement, rescoring, candidates, first)
        if rescoring.complete:
            async with aclosing(self._score(rescoring, candidates, candidates)) as steps:
                async for step in steps:
                    yield step
        yield await self._complete(rescoring, self._without_lost(candidates))

    async def _find(self) -> list[Candidates]:
        with self._context.watch.stage("search"):
            return await self._source.find()

    async def _score(
        self, rescoring: Rescoring, candidates: Sequence[Candidates], upto: Sequence[Candidates]
    ) -> AsyncGenerator[SearchResult, None]:
        """Score the beginnings ``upto`` of candidates, a portion at a time, while they are needed.

        Yields the ranking of what is scored at every change, if progress is wanted.
        """
        for portion in self._stop.portions(candidates, upto, self._sequences_searched):
            positions = in_order_of_promise(self._stop.unfinished(portion))
            if rescoring.wanted.keys() >= set(positions):
                continue
            async with aclosing(rescoring.run(positions)) as news:
                async for _ in news:
                    if self._progress:
                        yield self._rank(rescoring, self._total(rescoring, candidates))
            if not rescoring.complete:
                return
            await self._check(rescoring, candidates)

    async def _check(self, rescoring: Rescoring, candidates: Sequence[Candidates]) -> None:
        share = self._context.generation.share_without(self._context.replicas.lost)
        await self._stop.check(self._without_lost(candidates), rescoring.exact, self._sequences_searched, share)

    def _total(self, rescoring: Rescoring, candidates: Sequence[Candidates]) -> int:
        """Return the number of sequences that are scored in the end, if none has enough from now on."""
        return len(distinct_positions(self._stop.unfinished(candidates)) | rescoring.exact.keys())

    async def _refine(
        self,
        refinement: Refinement,
        rescoring: Rescoring,
        candidates: list[Candidates],
        first: Sequence[Candidates],
    ) -> list[Candidates]:
        """Return better candidates; the same where there is nothing to learn, or too little time for it."""
        candidates, first = self._without_lost(candidates), self._stop.unfinished(self._without_lost(first))
        pending = self._stop.unfinished(candidates)
        if first == pending:
            return candidates
        left_s = rescoring.until.remaining_s()
        try:
            with self._context.watch.stage("refine"):
                async with asyncio.timeout(None if math.isinf(left_s) else _REFINING_SHARE * left_s):
                    improved = await refinement.improve(pending, first, rescoring.exact)
            candidates = self._stop.updated(candidates, improved)
            await self._check(rescoring, candidates)
        except (TimeoutError, DeadlineError):
            _log.warning("no time to refine", model=self._context.generation.id.model)
        rescoring.forget_lost()  # the second search may have found that workers are gone
        return candidates

    async def _complete(self, rescoring: Rescoring, candidates: Sequence[Candidates]) -> SearchResult:
        """Return the final ranking with its recall and its noise; raise where nothing could be scored."""
        if not self._context.replicas.groups():
            raise self._context.replicas.nobody_left()
        if self._total(rescoring, candidates) and not rescoring.exact:
            raise deadline_error("before a single candidate was scored exactly")
        sample = NoiseSample(self._context, self._source)
        if self._context.options.noise_sample and len(rescoring.exact) < self._sequences_searched:
            await sample.score(rescoring)
            rescoring.forget_lost()
            candidates = self._without_lost(candidates)
        result = self._rank(rescoring, self._total(rescoring, candidates))
        if self._source.estimates:
            share = self._context.generation.share_without(result.unreachable)
            top_k, stopped = self._context.options.top_k, self._stop.stopped
            result = await asyncio.to_thread(with_recall, result, candidates, rescoring.exact, top_k, share, stopped)
        return await asyncio.to_thread(sample.add_to, result, candidates, rescoring.exact)

    def _rank(self, rescoring: Rescoring, total: int) -> SearchResult:
        options, generation = self._context.options, self._context.generation
        with self._context.watch.stage("merge"):
            rankings = tuple(
                rank_scored(
                    generation,
                    rescoring.exact,
                    query,
                    top_k=options.top_k,
                    direction=options.direction,
                    sequences=rescoring.sequences,
                )
                for query in range(len(self._context.request.queries))
            )
            return SearchResult(
                rankings=rankings,
                sequences_scored=len(rescoring.exact),
                sequences_total=total,
                sequences_searched=self._sequences_searched,
                unreachable=self._context.replicas.lost,
                truncation_errors=rescoring.truncation_errors,
                distributions=self._distributions(rescoring),
            )

    def _distributions(self, rescoring: Rescoring) -> tuple[Distribution, ...]:
        """Return the distribution of each query's influences, where every sequence was scored."""
        if len(rescoring.exact) < self._sequences_searched:
            return ()  # the candidates are no sample of the others: see NoiseSample
        queries = range(len(self._context.request.queries))
        return tuple(Distribution.of(row[query] for row in rescoring.exact.values()) for query in queries)

    def _without_lost(self, candidates: Sequence[Candidates]) -> list[Candidates]:
        """Return the candidates of the shards that can be reached."""
        return reachable(candidates, self._context.generation.shard_of, self._context.replicas.lost)

    @property
    def _sequences_searched(self) -> int:
        return self._source.search.sequences_searched
