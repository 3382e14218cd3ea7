"""The search with an index: every shard proposes candidates, the best of all shards are scored exactly.

Candidates are chosen over all shards at once, so that how the corpus is cut into shards does not matter.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from whence import tensors
from whence.errors import InternalError, UnavailableError
from whence.v1 import attribution_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.job import Job
from whence_service.frontend.merge import Candidate, Found, Ranking, RecallOfQuery
from whence_service.frontend.partial import all_unreachable, unreachable_shards
from whence_service.frontend.pool import WorkerPool
from whence_service.frontend.preparation import Prepared
from whence_service.frontend.recall import Pair, Recall, estimate_recall
from whence_service.frontend.rescoring import Rescoring
from whence_service.frontend.routing import ShardGroup
from whence_service.frontend.together import together
from whence_service.rpc.deadlines import deadline_error

_ONLY_NEGATIVE: Final = (attribution_pb2.DIRECTION_NEGATIVE,)
_NEGATIVE: Final = (attribution_pb2.DIRECTION_NEGATIVE, attribution_pb2.DIRECTION_BOTH)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A sequence that the index proposes for one query. ``error`` is the standard deviation of ``estimate``."""

    position: int
    estimate: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """The candidates for one query, best first in each direction."""

    positive: tuple[Proposal, ...] = ()
    negative: tuple[Proposal, ...] = ()


class IndexSearch:
    """One request's search with the index. ``rerank`` false: the estimates are the answer."""

    def __init__(
        self,
        pool: WorkerPool,
        job: Job,
        prepared: Prepared,
        *,
        top_k: int,
        candidates: int,
        direction: attribution_pb2.Direction.ValueType,
        rerank: bool,
        progress: bool,
        wanted: attribution_pb2.Filter | None = None,
    ) -> None:
        self._pool = pool
        self._job = job
        self._prepared = prepared
        self._top_k = top_k
        self._candidates = candidates
        self._direction = direction
        self._rerank = rerank
        self._progress = progress
        self._wanted = wanted
        self._searched: dict[ShardGroup, int] = {}  # sequences that each worker compared
        self._lost: set[ShardGroup] = set()  # whose worker could not be reached, in an answer that may be partial

    async def found(self) -> AsyncGenerator[Found, None]:
        """Yield what was found so far at every change, if progress is wanted, and at the end the whole.

        An answer whose time ran out has fewer candidates scored than asked, and says so. Raises
        :class:`~whence.errors.DeadlineError` where there was time for none.
        """
        with self._job.watch.stage("search"):
            proposals = await self._propose()
        if not self._rerank:
            yield self._estimated(proposals)
            return
        rescoring = Rescoring(self._pool, self._job, in_order_of_promise(proposals))
        async with aclosing(rescoring.run()) as news:
            async for _ in news:
                if self._progress:
                    yield self._reranked(rescoring, rescoring.total)
        self._lost |= rescoring.lost
        if len(self._lost) == len(self._job.route.groups):
            raise all_unreachable(self._job)
        proposals, total = self._without_lost(proposals, rescoring.wanted)
        if total and not rescoring.exact:
            raise deadline_error("before a single candidate was scored exactly")
        found = self._reranked(rescoring, total)
        yield await asyncio.to_thread(with_recall, found, proposals, rescoring.exact, self._top_k)

    async def _propose(self) -> list[Proposals]:
        found = await together(self._search(group) for group in self._job.route.groups)
        answers = [answer for answer in found if answer is not None]
        if not answers:
            raise all_unreachable(self._job)
        for answer in answers:
            self._job.watch.merge(answer.timings)
        return [
            Proposals(
                positive=_best((answer.positive for answer in answers), query, self._candidates, sign=1)
                if self._direction not in _ONLY_NEGATIVE
                else (),
                negative=_best((answer.negative for answer in answers), query, self._candidates, sign=-1)
                if self._direction in _NEGATIVE
                else (),
            )
            for query in range(len(self._job.queries))
        ]

    async def _search(self, group: ShardGroup) -> messages.SearchResponse | None:
        request = messages.SearchRequest(
            generation=self._job.generation_proto,
            sketches=_stacked(self._prepared),
            shards=group.shards,
            candidates=self._candidates,
            direction=self._direction,
            filter=self._wanted,
        )
        try:
            answer = await self._pool.client(group.worker).search(request, self._job.deadline)
        except UnavailableError:
            if not self._job.partial:
                raise
            self._lost.add(group)
            return None
        if self._wanted is None and answer.sequences_searched != group.sequences:
            raise InternalError(
                f"the worker {group.worker} compared {answer.sequences_searched} of {group.sequences} sequences with "
                "its index; candidates would be missing, so none are given",
                reason="SEARCH_INCOMPLETE",
                worker=group.worker,
                shards=", ".join(group.shards),
            )
        self._searched[group] = answer.sequences_searched
        return answer

    def _without_lost(
        self, proposals: Sequence[Proposals], wanted: Mapping[str, Sequence[int]]
    ) -> tuple[list[Proposals], int]:
        """Return the candidates of the shards that were reached to the end, and how many these are."""
        lost = {position for group in self._lost for position in wanted.get(group.worker, ())}
        left = [
            Proposals(
                positive=tuple(one for one in each.positive if one.position not in lost),
                negative=tuple(one for one in each.negative if one.position not in lost),
            )
            for each in proposals
        ]
        return left, sum(map(len, wanted.values())) - len(lost)

    @property
    def _sequences_searched(self) -> int:
        """How many sequences were compared, without those of workers that were lost later."""
        return sum(count for group, count in self._searched.items() if group not in self._lost)

    def _reranked(self, rescoring: Rescoring, total: int) -> Found:
        exact = rescoring.exact
        with self._job.watch.stage("merge"):
            rankings = tuple(
                Ranking(
                    positive=self._ranked(exact, query, sign=1) if self._direction not in _ONLY_NEGATIVE else (),
                    negative=self._ranked(exact, query, sign=-1) if self._direction in _NEGATIVE else (),
                )
                for query in range(len(self._job.queries))
            )
            return Found(
                rankings=rankings,
                sequences_scored=len(exact),
                sequences_total=total,
                sequences_searched=self._sequences_searched,
                unreachable=unreachable_shards(self._job, self._lost),
                truncation_errors=rescoring.truncation_errors,
            )

    def _ranked(self, exact: Mapping[int, Sequence[float]], query: int, *, sign: int) -> tuple[Candidate, ...]:
        """Return the best of what was scored for a query: of a batch each has scores of thousands of sequences."""
        scored = ((-sign * row[query], position) for position, row in exact.items())
        return tuple(
            Candidate(shard=self._job.generation.shard_of(position), position=position, raw_influence=-sign * key)
            for key, position in heapq.nsmallest(self._top_k, scored)
        )

    def _estimated(self, proposals: Sequence[Proposals]) -> Found:
        rankings = tuple(
            Ranking(
                positive=_as_candidates(self._job, one.positive[: self._top_k]),
                negative=_as_candidates(self._job, one.negative[: self._top_k]),
            )
            for one in proposals
        )
        return Found(
            rankings=rankings,
            sequences_scored=0,
            sequences_total=0,
            sequences_searched=self._sequences_searched,
            unreachable=unreachable_shards(self._job, self._lost),
        )


def in_order_of_promise(proposals: Sequence[Proposals]) -> list[int]:
    """Return each proposed position once: first every query's first candidates, then their second ones, and so on."""
    ranks: dict[int, int] = {}
    for one in proposals:
        for ranking in (one.positive, one.negative):
            for rank, proposal in enumerate(ranking):
                ranks[proposal.position] = min(rank, ranks.get(proposal.position, rank))
    return sorted(ranks, key=lambda position: (ranks[position], position))


def with_recall(
    found: Found, proposals: Sequence[Proposals], exact: Mapping[int, Sequence[float]], top_k: int
) -> Found:
    """Return what was found with the recall of each query's rankings."""
    recalls, searched = [], found.sequences_searched
    for query, one in enumerate(proposals):
        influences = {position: row[query] for position, row in exact.items()}
        recalls.append(
            RecallOfQuery(
                positive=recall_of(one.positive, influences, top_k, searched, sign=1),
                negative=recall_of(one.negative, influences, top_k, searched, sign=-1),
            )
        )
    return replace(found, recalls=tuple(recalls))


def recall_of(
    proposals: Sequence[Proposal], exact: Mapping[int, float], top_k: int, searched: int, *, sign: int
) -> attribution_pb2.RecallEstimate | None:
    """Return the recall of one ranking of one query; ``sign`` -1 for the most negative."""
    if not proposals:
        return None
    scored = [proposal for proposal in proposals if proposal.position in exact]
    if len(scored) == searched:  # every sequence of the corpus
        return attribution_pb2.RecallEstimate(recall=1.0, candidates=len(proposals), reranked=len(scored))
    unscored = [sign * proposal.estimate for proposal in proposals if proposal.position not in exact]
    cut = max(unscored, default=sign * proposals[-1].estimate)
    pairs = [
        Pair(estimate=sign * proposal.estimate, error=proposal.error, influence=sign * exact[proposal.position])
        for proposal in scored
        if sign * proposal.estimate >= cut
    ]
    recall: Recall = estimate_recall(pairs, cut=cut, k=min(top_k, searched))
    return attribution_pb2.RecallEstimate(
        recall=recall.recall, margin=recall.margin, candidates=len(proposals), reranked=len(scored)
    )


def _best(
    answers: Iterable[Sequence[messages.Estimates]], query: int, count: int, *, sign: int
) -> tuple[Proposal, ...]:
    """Merge the shards' candidates for one query: the ``count`` best of all, ties to the lower position."""
    proposals = [
        Proposal(position=int(position), estimate=estimate, error=error)
        for answer in answers
        for position, estimate, error in zip(
            tensors.unpack(answer[query].positions),
            tensors.unpack(answer[query].estimates),
            tensors.unpack(answer[query].errors),
            strict=True,
        )
    ]
    proposals.sort(key=lambda proposal: (-sign * proposal.estimate, proposal.position))
    return tuple(proposals[:count])


def _stacked(prepared: Prepared) -> tensor_pb2.Tensor:
    sketches = [query.sketch for query in prepared.queries]
    return tensor_pb2.Tensor(
        data_type=sketches[0].data_type,
        shape=[len(sketches), *sketches[0].shape],
        data=b"".join(sketch.data for sketch in sketches),
    )


def _as_candidates(job: Job, proposals: Iterable[Proposal]) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            shard=job.generation.shard_of(proposal.position),
            position=proposal.position,
            raw_influence=proposal.estimate,
        )
        for proposal in proposals
    )
