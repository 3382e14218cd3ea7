"""The path of a query: prepare on one worker, search every shard, merge, describe what was found.

Every hop runs under the request's one deadline. If any worker fails, the request fails as a whole and its
other calls are cancelled: a ranking that lacks a shard is a wrong answer, not a short one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from whence.v1 import attribution_pb2
from whence_service.frontend.answers import Answer, build_attribution, build_metadata
from whence_service.frontend.details import describe
from whence_service.frontend.job import Job
from whence_service.frontend.merge import Found
from whence_service.frontend.pool import WorkerPool
from whence_service.frontend.preparation import Prepared, prepare
from whence_service.frontend.queries import Asked
from whence_service.frontend.scan import FullScan


class Attributor:
    """Answers which sequences an output came from, with the workers of a pool. Holds no state of its own.

    ``budget_bytes`` bounds the answers of single calls to workers.
    """

    def __init__(self, pool: WorkerPool, *, budget_bytes: int) -> None:
        self._pool = pool
        self._budget_bytes = budget_bytes

    async def attribute(self, job: Job, asked: Asked) -> Answer:
        """Return the attributions of all the job's queries, after one pass over the corpus."""
        prepared = await prepare(self._pool, job)
        async with aclosing(self._search(job, asked, progress=False)) as search:
            async for found in search:
                last = found
        return await self._answer(job, asked, prepared, last)

    async def stream(self, job: Job, asked: Asked) -> AsyncGenerator[tuple[Prepared, Found] | Answer, None]:
        """Yield what was found so far, any number of times, and then the answer."""
        prepared = await prepare(self._pool, job)
        async with aclosing(self._search(job, asked, progress=True)) as search:
            async for found in search:
                last = found
                yield prepared, found
        yield await self._answer(job, asked, prepared, last)

    def _search(self, job: Job, asked: Asked, *, progress: bool) -> AsyncGenerator[Found, None]:
        # The seam for other searches: an index, later, yields its merged and re-ranked candidates in the same
        # form.
        scan = FullScan(self._pool, job, top_k=asked.top_k, direction=asked.direction, progress=progress)
        return scan.found()

    async def _answer(self, job: Job, asked: Asked, prepared: Prepared, found: Found) -> Answer:
        described = await describe(
            self._pool,
            job,
            found.rankings,
            layers=asked.include_layers,
            tokens=asked.include_tokens,
            budget_bytes=self._budget_bytes,
        )
        attributions = tuple(
            build_attribution(job, number, prepared.queries[number], ranking, described[number])
            for number, ranking in enumerate(found.rankings)
        )
        metadata = build_metadata(
            job,
            warnings=(*prepared.warnings, *_short_corpus(found, asked)),
            sequences_scored=found.sequences_scored,
            with_layers=asked.include_layers,
        )
        return Answer(attributions=attributions, metadata=metadata)


def _short_corpus(found: Found, asked: Asked) -> Sequence[attribution_pb2.Warning]:
    if found.sequences_total >= asked.top_k:
        return ()
    message = f"top_k is {asked.top_k}, but the corpus has only {found.sequences_total} sequences"
    return (attribution_pb2.Warning(code="TOP_K_EXCEEDS_CORPUS", message=message),)
