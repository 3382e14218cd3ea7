"""The training sequences that influence themselves most: every shard's own, merged and described."""

from __future__ import annotations

from whence.errors import InternalError
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.answers import build_hits, build_metadata
from whence_service.frontend.attribution import chosen_search, require_some, search_warnings
from whence_service.frontend.details import describe
from whence_service.frontend.job import Job
from whence_service.frontend.merge import Found, merge_rankings
from whence_service.frontend.pool import WorkerPool
from whence_service.frontend.queries import Asked
from whence_service.frontend.routing import ShardGroup
from whence_service.frontend.together import together


class SelfInfluencer:
    """Answers from the indexes of a pool's workers. Holds no state of its own."""

    def __init__(self, pool: WorkerPool, *, budget_bytes: int) -> None:
        self._pool = pool
        self._budget_bytes = budget_bytes

    async def answer(self, job: Job, asked: Asked) -> attribution_service_pb2.SelfInfluenceResponse:
        """Return the ``top_k`` sequences of the corpus.

        Raises :class:`~whence.errors.MismatchError` (``NO_INDEX``) without an index, and
        :class:`~whence.errors.NotFoundError` for a filter that lets nothing through.
        """
        search = chosen_search(job.generation, attribution_pb2.SEARCH_INDEX_ONLY)
        with job.watch.stage("search"):
            answers = await together(self._ask(job, asked, group) for group in job.route.groups)
        searched = sum(answer.sequences_searched for answer in answers)
        parts = [[worker_service_pb2.Candidates(positive=answer.sequences)] for answer in answers]
        rankings = merge_rankings(parts, queries=1, top_k=asked.top_k, direction=asked.direction)
        found = Found(rankings=rankings, sequences_scored=0, sequences_total=0, sequences_searched=searched)
        require_some(found, asked)
        described = await describe(
            self._pool, job, rankings, layers=False, tokens=False, budget_bytes=self._budget_bytes
        )
        warnings = search_warnings(attribution_pb2.SEARCH_UNSPECIFIED, found, asked, job)
        return attribution_service_pb2.SelfInfluenceResponse(
            sequences=build_hits(job, rankings[0], described[0]),
            metadata=build_metadata(
                job,
                warnings=warnings,
                sequences_scored=0,
                sequences_searched=searched,
                search=search,
                with_layers=False,
            ),
        )

    async def _ask(self, job: Job, asked: Asked, group: ShardGroup) -> worker_service_pb2.SelfInfluenceResponse:
        request = worker_service_pb2.SelfInfluenceRequest(
            generation=job.generation_proto, shards=group.shards, top_k=asked.top_k, filter=asked.wanted
        )
        answer = await self._pool.client(group.worker).self_influence(request, job.deadline)
        if asked.wanted is None and answer.sequences_searched != group.sequences:
            raise InternalError(
                f"the worker {group.worker} looked at {answer.sequences_searched} of {group.sequences} sequences; the "
                "ranking would be wrong, so none is given",
                reason="SEARCH_INCOMPLETE",
                worker=group.worker,
                shards=", ".join(group.shards),
            )
        return answer
