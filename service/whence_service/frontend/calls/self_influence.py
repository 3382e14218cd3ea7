"""The training sequences that influence themselves most: every shard's own, merged and described."""

from __future__ import annotations

from collections.abc import Sequence

from whence import tensors
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.calls.attribute import chosen_search, require_some, search_warnings
from whence_service.frontend.calls.score import Scorer, Selector
from whence_service.frontend.request.context import Job
from whence_service.frontend.request.validation import Asked
from whence_service.frontend.responses import linear_range
from whence_service.frontend.responses.attributions import build_hits, build_metadata, training_set_size
from whence_service.frontend.responses.hit_details import describe
from whence_service.frontend.search.candidates import ShardSearch
from whence_service.frontend.search.rankings import Found, merge_rankings
from whence_service.frontend.workers.client import WorkerClient
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.frontend.workers.routing import ShardGroup


class SelfInfluencer:
    """Answers from the indexes of a pool's workers, and for given sequences from their engines. Holds no state."""

    def __init__(self, pool: WorkerPool, scorer: Scorer, *, budget_bytes: int) -> None:
        self._pool = pool
        self._scorer = scorer
        self._budget_bytes = budget_bytes

    async def of_given(
        self, job: Job, selectors: Sequence[Selector], top_k: int
    ) -> attribution_service_pb2.SelfInfluenceResponse:
        """Return the ``top_k`` of the given sequences, all where it is 0; ties in the order of the request.

        Raises :class:`~whence.errors.NotFoundError` (``SEQUENCE_NOT_FOUND``) for an id that no shard has.
        """
        scored = await self._scorer.on_themselves(job, selectors)
        size = training_set_size(job)
        raw = [tensors.unpack(sequence.raw_influence)[0] for sequence in scored.sequences]
        order = sorted(range(len(raw)), key=lambda number: -raw[number])[: top_k or len(raw)]
        hits = [
            attribution_pb2.Hit(
                rank=rank,
                sequence=scored.sequences[number].sequence,
                influence=raw[number] / size,
                raw_influence=raw[number],
            )
            for rank, number in enumerate(order, start=1)
        ]
        warnings = (*scored.warnings, *linear_range.of_self_influences(job, hits))
        return attribution_service_pb2.SelfInfluenceResponse(
            sequences=hits,
            metadata=build_metadata(job, warnings=warnings, sequences_scored=len(raw), with_layers=False),
        )

    async def answer(self, job: Job, asked: Asked) -> attribution_service_pb2.SelfInfluenceResponse:
        """Return the ``top_k`` sequences of the corpus.

        Raises :class:`~whence.errors.MismatchError` (``MISSING_INDEX``) without an index, and
        :class:`~whence.errors.NotFoundError` for a filter that lets nothing through.
        """
        search = chosen_search(job.generation, attribution_pb2.SEARCH_INDEX_ONLY)
        with job.watch.stage("search"):
            answers = await self._largest(job, asked)
        searched = sum(answer.sequences_searched for answer in answers)
        parts = [[worker_service_pb2.Candidates(positive=answer.sequences)] for answer in answers]
        rankings = merge_rankings(parts, queries=1, top_k=asked.top_k, direction=asked.direction, signed=False)
        found = Found(rankings=rankings, sequences_scored=0, sequences_total=0, sequences_searched=searched)
        require_some(found, asked)
        described = await describe(
            self._pool, job, rankings, layers=False, tokens=False, budget_bytes=self._budget_bytes
        )
        warnings = search_warnings(attribution_pb2.SEARCH_UNSPECIFIED, found, asked, job)
        hits = build_hits(job, rankings[0], described[0])
        return attribution_service_pb2.SelfInfluenceResponse(
            sequences=hits,
            metadata=build_metadata(
                job,
                warnings=(*warnings, *linear_range.of_self_influences(job, hits)),
                sequences_scored=0,
                sequences_searched=searched,
                search=search,
                with_layers=False,
            ),
        )

    async def _largest(self, job: Job, asked: Asked) -> list[worker_service_pb2.SelfInfluenceResponse]:
        """Return the largest of every shard."""

        async def call(worker: WorkerClient, group: ShardGroup) -> worker_service_pb2.SelfInfluenceResponse:
            request = worker_service_pb2.SelfInfluenceRequest(
                generation=job.generation_proto, shards=group.shards, top_k=asked.top_k, filter=asked.wanted
            )
            return await worker.self_influence(request, job.deadline)

        return await ShardSearch(self._pool, job, filtered=asked.wanted is not None).ask(call)
