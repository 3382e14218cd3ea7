"""The path of a query: prepare on one worker, search every shard, merge, describe what was found.

Every hop runs under the request's one deadline. If any worker fails, the request fails as a whole and its
other calls are cancelled: a ranking that lacks a shard is a wrong answer, not a short one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias

from whence.errors import MismatchError, NotFoundError
from whence.reasons import Reason, WarningCode
from whence.v1 import attribution_pb2
from whence_service.frontend.request.context import Job
from whence_service.frontend.request.validation import Asked
from whence_service.frontend.responses import linear_range
from whence_service.frontend.responses.attributions import WITH_INDEX, Answer, build_attribution, build_metadata
from whence_service.frontend.responses.hit_details import describe
from whence_service.frontend.search.candidates import Proposer
from whence_service.frontend.search.index_candidates import NEGATIVE, POSITIVE, IndexProposer
from whence_service.frontend.search.preparation import Prepared, prepare
from whence_service.frontend.search.rankings import Found, RecallOfQuery
from whence_service.frontend.search.refinement import AT_ONCE, Refinement
from whence_service.frontend.search.rerank import Rerank
from whence_service.frontend.search.scan import FullScan
from whence_service.frontend.search.token_candidates import TfidfProposer
from whence_service.frontend.workers.coverage import covered_share
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.pool import WorkerPool

Search: TypeAlias = attribution_pb2.Search.ValueType
_RERANKED: Final = (attribution_pb2.SEARCH_INDEX_RERANK, attribution_pb2.SEARCH_TFIDF_RERANK)


class Attributor:
    """Answers which sequences an output came from, with the workers of a pool.

    ``budget_bytes`` bounds the answers of single calls to workers. State: whose turn it is to refine.
    """

    def __init__(self, pool: WorkerPool, *, budget_bytes: int) -> None:
        self._pool = pool
        self._budget_bytes = budget_bytes
        self._refining = asyncio.Semaphore(AT_ONCE)

    async def attribute(self, job: Job, asked: Asked) -> Answer:
        """Return the attributions of all the job's queries, after one search."""
        search = chosen_search(job.generation, asked.search)
        prepared = await prepare(self._pool, job, sketch=search in WITH_INDEX)
        async with aclosing(self._search(job, asked, search, prepared, progress=False)) as steps:
            async for found in steps:
                last = found
        return await self._answer(job, asked, search, prepared, last)

    async def stream(self, job: Job, asked: Asked) -> AsyncGenerator[tuple[Prepared, Found] | Answer, None]:
        """Yield what was found so far, any number of times, and then the answer."""
        search = chosen_search(job.generation, asked.search)
        prepared = await prepare(self._pool, job, sketch=search in WITH_INDEX)
        async with aclosing(self._search(job, asked, search, prepared, progress=True)) as steps:
            async for found in steps:
                last = found
                yield prepared, found
        yield await self._answer(job, asked, search, prepared, last)

    def _search(
        self, job: Job, asked: Asked, search: Search, prepared: Prepared, *, progress: bool
    ) -> AsyncGenerator[Found, None]:
        if search != attribution_pb2.SEARCH_FULL_SCAN:
            proposer, refinement = self._proposer(job, asked, search, prepared)
            return Rerank(
                self._pool,
                job,
                proposer,
                refinement=refinement,
                top_k=asked.top_k,
                direction=asked.direction,
                rerank=search != attribution_pb2.SEARCH_INDEX_ONLY,
                progress=progress,
            ).found()
        return FullScan(
            self._pool,
            job,
            top_k=asked.top_k,
            direction=asked.direction,
            progress=progress,
            wanted=asked.wanted,
        ).found()

    def _proposer(
        self, job: Job, asked: Asked, search: Search, prepared: Prepared
    ) -> tuple[Proposer, Refinement | None]:
        """Return what names the candidates, and what makes more of them once some are scored."""
        candidates = max(asked.candidates, asked.top_k)
        if search == attribution_pb2.SEARCH_TFIDF_RERANK:
            by_tokens = TfidfProposer(
                self._pool, job, candidates=candidates, direction=asked.direction, wanted=asked.wanted
            )
            return by_tokens, None
        by_index = IndexProposer(
            self._pool, job, prepared, candidates=candidates, direction=asked.direction, wanted=asked.wanted
        )
        return by_index, Refinement(self._pool, job, prepared, by_index, self._refining)

    async def _answer(self, job: Job, asked: Asked, search: Search, prepared: Prepared, found: Found) -> Answer:
        require_some(found, asked)
        described = await describe(
            self._pool,
            job,
            found.rankings,
            layers=asked.include_layers,
            tokens=asked.include_tokens,
            budget_bytes=self._budget_bytes,
        )
        attributions = tuple(
            build_attribution(
                job,
                number,
                prepared.queries[number],
                ranking,
                described[number],
                recall=found.recalls[number] if found.recalls else RecallOfQuery(),
                truncation_error=found.truncation_errors[number] if found.truncation_errors else 0.0,
            )
            for number, ranking in enumerate(found.rankings)
        )
        metadata = build_metadata(
            job,
            warnings=(
                *prepared.warnings,
                *search_warnings(search, found, asked, job),
                *fewer_warnings(attributions, found, asked),
                *linear_range.of_attributions(job, attributions),
            ),
            sequences_scored=found.sequences_scored,
            sequences_searched=found.sequences_searched,
            search=search,
            unreachable=found.unreachable,
            with_layers=asked.include_layers,
        )
        return Answer(attributions=attributions, metadata=metadata)


def chosen_search(generation: Generation, asked: Search) -> Search:
    """Return how to search: as asked, or the best that there is.

    Raises :class:`~whence.errors.MismatchError` (``MISSING_INDEX``) where an index is asked for and none is loaded.
    """
    has_index = bool(generation.id.index_digest)
    if asked == attribution_pb2.SEARCH_UNSPECIFIED:
        return attribution_pb2.SEARCH_INDEX_RERANK if has_index else attribution_pb2.SEARCH_FULL_SCAN
    if asked in WITH_INDEX and not has_index:
        raise MismatchError(
            f"the workers of {generation.id.model!r} have no gradient index; build one with `whence index` and start "
            "them with --index, or ask for SEARCH_FULL_SCAN",
            reason=Reason.MISSING_INDEX,
            model=generation.id.model,
        )
    return asked


def require_some(found: Found, asked: Asked) -> None:
    """Raise :class:`~whence.errors.NotFoundError` where the filter let nothing through."""
    if asked.wanted is not None and not (found.sequences_searched or found.sequences_total):
        raise matches_nothing()


def matches_nothing() -> NotFoundError:
    """Return the error of a filter that lets nothing through."""
    return NotFoundError(
        "the filter lets no sequence of the corpus through; check the spelling of its sources, metadata and ids: a "
        "sequence must have all that is asked",
        reason=Reason.MATCHES_NOT_FOUND,
    )


def fewer_warnings(
    attributions: Sequence[attribution_pb2.Attribution], found: Found, asked: Asked
) -> Iterator[attribution_pb2.Warning]:
    """Yield what the caller should know where a ranking is short for want of influences of its sign."""
    among = found.sequences_scored or found.sequences_searched
    for name, wanted in (("positive", POSITIVE), ("negative", NEGATIVE)):
        if asked.direction not in wanted:
            continue
        counts = [len(getattr(one, name)) for one in attributions]
        short = sum(count < min(asked.top_k, among) for count in counts)
        if short:
            which = f" on the query with the fewest ({short} of {len(counts)} have too few)" if len(counts) > 1 else ""
            yield attribution_pb2.Warning(
                code=f"FEWER_{name.upper()}_THAN_TOP_K",
                message=f"of {among} sequences {min(counts)} have {name} influence{which}, fewer than the "
                f"{asked.top_k} asked for: the others do not belong in this ranking and are left out",
            )


def search_warnings(search: Search, found: Found, asked: Asked, job: Job) -> Iterator[attribution_pb2.Warning]:
    """Yield what the caller should know about how the hits were found."""
    sequences = found.sequences_searched or found.sequences_total
    if sequences < asked.top_k:
        which = "the filter lets only" if asked.wanted else "the corpus has only"
        yield attribution_pb2.Warning(
            code=WarningCode.TOP_K_EXCEEDS_CORPUS,
            message=f"top_k is {asked.top_k}, but {which} {sequences} sequences{' through' if asked.wanted else ''}",
        )
    if found.unreachable:
        share = covered_share(job.generation, found.unreachable)
        yield attribution_pb2.Warning(
            code=WarningCode.PARTIAL_ANSWER,
            message=f"the shards {', '.join(found.unreachable)} could not be reached; this answer covers {share:.1%} "
            "of the corpus, and what it lacks may be more influential",
        )
    if search == attribution_pb2.SEARCH_INDEX_ONLY:
        yield attribution_pb2.Warning(
            code=WarningCode.INFLUENCES_ESTIMATED,
            message="influences are what the gradient index estimates from the coordinates that it keeps; only their "
            "order means something, and that roughly: ask for SEARCH_INDEX_RERANK for exact ones",
        )
    if search == attribution_pb2.SEARCH_TFIDF_RERANK:
        yield attribution_pb2.Warning(
            code=WarningCode.CANDIDATES_BY_TOKENS,
            message="only sequences that share tokens with the query were scored; what influences it without sharing "
            "its words is missing, and the more abstract the influence, the more of it: use an index, or a full scan",
        )
    if search in _RERANKED and found.sequences_scored < found.sequences_total:
        yield attribution_pb2.Warning(
            code=WarningCode.RERANK_INCOMPLETE,
            message=f"the deadline left time to score {found.sequences_scored} of {found.sequences_total} candidates; "
            "more of the best may be missing: allow more time, or ask for fewer candidates",
        )
    if any(found.truncation_errors):
        why = "" if asked.query_rank else ": their whole gradients do not fit the workers' memory at once"
        yield attribution_pb2.Warning(
            code=WarningCode.QUERIES_OF_BOUNDED_RANK,
            message=f"the queries' preconditioned gradients were kept in rank {job.query_rank}{why}; influences are "
            f"off by about {max(found.truncation_errors):.1%} (see truncation_error); ask for fewer queries, or a "
            "higher query_rank, for more exact ones",
        )
