"""Two-stage searches: a proposer names candidates of all shards, and the best of them are scored exactly.

With a refinement the candidates are scored in two rounds, and the second is chosen with what the first taught.
Candidates are chosen over all shards at once, so that how the corpus is cut into shards does not matter.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import structlog

from whence.errors import DeadlineError
from whence.v1 import attribution_pb2
from whence_service.frontend.request.context import Job
from whence_service.frontend.search.candidates import Proposal, Proposals, Proposer
from whence_service.frontend.search.index_candidates import NEGATIVE, POSITIVE
from whence_service.frontend.search.rankings import Candidate, Found, Ranking, RecallOfQuery
from whence_service.frontend.search.recall import Pair, Recall, estimate_recall
from whence_service.frontend.search.refinement import Refinement
from whence_service.frontend.search.rescoring import Rescoring
from whence_service.frontend.workers.coverage import covered_share
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.rpc.deadlines import deadline_error

# The share of the time left for scoring that choosing the second round may take: the round itself comes after.
_REFINING_SHARE: Final = 0.25

_log: Final = structlog.get_logger(__name__)


class Rerank:
    """One request's two-stage search. ``rerank`` false: what was proposed is the answer."""

    def __init__(
        self,
        pool: WorkerPool,
        job: Job,
        proposer: Proposer,
        *,
        refinement: Refinement | None,
        top_k: int,
        direction: attribution_pb2.Direction.ValueType,
        rerank: bool,
        progress: bool,
    ) -> None:
        self._pool = pool
        self._job = job
        self._proposer = proposer
        self._refinement = refinement
        self._top_k = top_k
        self._direction = direction
        self._rerank = rerank
        self._progress = progress

    async def found(self) -> AsyncGenerator[Found, None]:
        """Yield what was found so far at every change, if progress is wanted, and at the end the whole.

        An answer whose time ran out has fewer candidates scored than asked, and says so. Raises
        :class:`~whence.errors.DeadlineError` where there was time for none.
        """
        with self._job.watch.stage("search"):
            proposals = await self._proposer.propose()
        if not self._rerank:
            yield self._estimated(proposals)
            return
        rescoring = Rescoring(self._pool, self._job)
        if self._refinement is not None:
            first = self._refinement.first_round(proposals, self._sequences_searched)
            async with aclosing(self._scoring(rescoring, first, proposals)) as steps:
                async for step in steps:
                    yield step
            if rescoring.complete:
                proposals = await self._refined(self._refinement, rescoring, proposals, first)
        if rescoring.complete:
            async with aclosing(self._scoring(rescoring, proposals, proposals)) as steps:
                async for step in steps:
                    yield step
        if not self._job.replicas.groups():
            raise self._job.replicas.nobody_left()
        proposals = self._without_lost(proposals)
        total = len(distinct(proposals))
        if total and not rescoring.exact:
            raise deadline_error("before a single candidate was scored exactly")
        found = self._reranked(rescoring, total)
        if self._proposer.estimates:
            share = covered_share(self._job.generation, found.unreachable)
            found = await asyncio.to_thread(with_recall, found, proposals, rescoring.exact, self._top_k, share)
        yield found

    async def _scoring(
        self, rescoring: Rescoring, proposals: Sequence[Proposals], planned: Sequence[Proposals]
    ) -> AsyncGenerator[Found, None]:
        """Score proposals, of the ``planned`` ones, and yield what was found so far, if progress is wanted."""
        total = len(distinct(planned))
        async with aclosing(rescoring.run(in_order_of_promise(proposals))) as news:
            async for _ in news:
                if self._progress:
                    yield self._reranked(rescoring, total)

    async def _refined(
        self,
        refinement: Refinement,
        rescoring: Rescoring,
        proposals: list[Proposals],
        first: Sequence[Proposals],
    ) -> list[Proposals]:
        """Return better proposals; the same where nothing can be learned in the time that may be spent on it."""
        proposals, first = self._without_lost(proposals), self._without_lost(first)
        if first == proposals:
            return proposals
        left_s = rescoring.until.remaining_s()
        try:
            with self._job.watch.stage("refine"):
                async with asyncio.timeout(None if math.isinf(left_s) else _REFINING_SHARE * left_s):
                    proposals = await refinement.improve(proposals, first, rescoring.exact)
        except (TimeoutError, DeadlineError):
            _log.warning("no time to refine", model=self._job.generation.id.model)
        rescoring.forget_lost()  # the second search may have found that workers are gone
        return proposals

    def _without_lost(self, proposals: Sequence[Proposals]) -> list[Proposals]:
        """Return the candidates of the shards that can be reached."""
        lost = set(self._job.replicas.lost)
        if not lost:
            return list(proposals)

        def left(ranking: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
            return tuple(one for one in ranking if self._job.generation.shard_of(one.position) not in lost)

        return [Proposals(positive=left(each.positive), negative=left(each.negative)) for each in proposals]

    @property
    def _sequences_searched(self) -> int:
        return self._proposer.search.sequences_searched

    def _reranked(self, rescoring: Rescoring, total: int) -> Found:
        exact = rescoring.exact
        with self._job.watch.stage("merge"):
            rankings = tuple(
                Ranking(
                    positive=self._ranked(exact, query, sign=1) if self._direction in POSITIVE else (),
                    negative=self._ranked(exact, query, sign=-1) if self._direction in NEGATIVE else (),
                )
                for query in range(len(self._job.queries))
            )
            return Found(
                rankings=rankings,
                sequences_scored=len(exact),
                sequences_total=total,
                sequences_searched=self._sequences_searched,
                unreachable=self._job.replicas.lost,
                truncation_errors=rescoring.truncation_errors,
            )

    def _ranked(self, exact: Mapping[int, Sequence[float]], query: int, *, sign: int) -> tuple[Candidate, ...]:
        """Return the best of what was scored for a query: of a batch each has scores of thousands of sequences."""
        scored = ((-sign * row[query], position) for position, row in exact.items() if sign * row[query] > 0)
        return tuple(
            Candidate(shard=self._job.generation.shard_of(position), position=position, raw_influence=-sign * key)
            for key, position in heapq.nsmallest(self._top_k, scored)
        )

    def _estimated(self, proposals: Sequence[Proposals]) -> Found:
        rankings = tuple(
            Ranking(
                positive=_as_candidates(self._job, one.positive[: self._top_k], sign=1),
                negative=_as_candidates(self._job, one.negative[: self._top_k], sign=-1),
            )
            for one in proposals
        )
        return Found(
            rankings=rankings,
            sequences_scored=0,
            sequences_total=0,
            sequences_searched=self._sequences_searched,
            unreachable=self._job.replicas.lost,
        )


def in_order_of_promise(proposals: Sequence[Proposals]) -> list[int]:
    """Return each proposed position once: first every query's first candidates, then their second ones, and so on."""
    ranks: dict[int, int] = {}
    for one in proposals:
        for ranking in (one.positive, one.negative):
            for rank, proposal in enumerate(ranking):
                ranks[proposal.position] = min(rank, ranks.get(proposal.position, rank))
    return sorted(ranks, key=lambda position: (ranks[position], position))


def distinct(proposals: Sequence[Proposals]) -> set[int]:
    """Return the positions that are proposed for any query."""
    return {one.position for each in proposals for one in (*each.positive, *each.negative)}


def with_recall(
    found: Found, proposals: Sequence[Proposals], exact: Mapping[int, Sequence[float]], top_k: int, share: float = 1.0
) -> Found:
    """Return what was found with the recall of each query's rankings; ``share`` of the corpus could be reached."""
    recalls, searched = [], found.sequences_searched
    for query, one in enumerate(proposals):
        influences = {position: row[query] for position, row in exact.items()}
        recalls.append(
            RecallOfQuery(
                positive=recall_of(one.positive, influences, top_k, searched, sign=1, share=share),
                negative=recall_of(one.negative, influences, top_k, searched, sign=-1, share=share),
            )
        )
    return replace(found, recalls=tuple(recalls))


def recall_of(
    proposals: Sequence[Proposal],
    exact: Mapping[int, float],
    top_k: int,
    searched: int,
    *,
    sign: int,
    share: float = 1.0,
) -> attribution_pb2.RecallEstimate | None:
    """Return the recall of one ranking of one query; ``sign`` -1 for the most negative.

    It is of the whole corpus: where only a ``share`` of it was searched, the rest is taken to be like that. How far the
    ranking is above the cut is not said then, since in the rest nothing was cut.
    """
    if not proposals:
        return None
    scored = [proposal for proposal in proposals if proposal.position in exact]
    if len(scored) == searched:  # every sequence that could be reached
        return attribution_pb2.RecallEstimate(recall=share, candidates=len(proposals), reranked=len(scored))
    unscored = [sign * proposal.estimate for proposal in proposals if proposal.position not in exact]
    cut = max(unscored, default=sign * proposals[-1].estimate)
    pairs = [
        Pair(estimate=sign * proposal.estimate, error=proposal.error, influence=sign * exact[proposal.position])
        for proposal in scored
        if sign * proposal.estimate >= cut
    ]
    recall: Recall = estimate_recall(pairs, cut=cut, k=min(top_k, round(searched / share)), share=share)
    return attribution_pb2.RecallEstimate(
        recall=recall.recall,
        margin=recall.margin if share == 1 else None,
        candidates=len(proposals),
        reranked=len(scored),
    )


def _as_candidates(job: Job, proposals: Iterable[Proposal], *, sign: int) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            shard=job.generation.shard_of(proposal.position),
            position=proposal.position,
            raw_influence=proposal.estimate,
        )
        for proposal in proposals
        if sign * proposal.estimate > 0
    )
