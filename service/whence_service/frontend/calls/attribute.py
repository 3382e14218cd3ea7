"""Attribute, StreamAttribute and BatchAttribute: prepare the queries, search every shard, describe the hits.

Every hop runs under the request's one deadline. If any worker fails, the request fails and its other calls are
cancelled: a ranking that lacks a shard would be wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from whence.v1 import attribution_pb2, attribution_service_pb2
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.responses import linear_range, negatives
from whence_service.frontend.responses.attributions import Answer, build_attribution, build_partial
from whence_service.frontend.responses.hit_details import fetch_details
from whence_service.frontend.responses.metadata import build_metadata
from whence_service.frontend.responses.noise import noise_warnings
from whence_service.frontend.responses.warnings import fewer_warnings, search_warnings
from whence_service.frontend.search.index_candidates import IndexCandidates
from whence_service.frontend.search.noise import QueryNoise, noise_of, only_significant
from whence_service.frontend.search.policy import WITH_INDEX, Search, choose_search, require_matches
from whence_service.frontend.search.preparation import Prepared, prepare
from whence_service.frontend.search.rankings import RecallOfQuery, SearchResult
from whence_service.frontend.search.refinement import AT_ONCE, Refinement
from whence_service.frontend.search.scan import FullScan
from whence_service.frontend.search.token_candidates import TokenCandidates
from whence_service.frontend.search.two_stage import TwoStageSearch
from whence_service.frontend.search.union_candidates import UnionCandidates
from whence_service.rpc.identity import Scope, current_identity


class Attributor:
    """Finds the training sequences that influenced an output. State: the semaphore of concurrent refinements."""

    def __init__(self) -> None:
        self._refining = asyncio.Semaphore(AT_ONCE)

    async def attribute(self, context: RequestContext[SearchOptions]) -> Answer:
        """Return the attributions of all queries, after one search."""
        search = _choose(context)
        prepared = await prepare(context, sketch=search in WITH_INDEX)
        async with aclosing(self._search(context, search, prepared, progress=False)) as results:
            async for result in results:
                last = result
        return await _answer(context, search, prepared, last)

    async def stream(
        self, context: RequestContext[SearchOptions]
    ) -> AsyncGenerator[attribution_service_pb2.PartialAttribution | Answer, None]:
        """Yield the intermediate results of the search of one query, any number of them, and then the answer."""
        search = _choose(context)
        prepared = await prepare(context, sketch=search in WITH_INDEX)
        async with aclosing(self._search(context, search, prepared, progress=True)) as results:
            async for result in results:
                last = result
                if result.sequences_total:  # otherwise nothing is scored, and the answer follows
                    yield build_partial(context, prepared.queries[0], result)
        yield await _answer(context, search, prepared, last)

    def _search(
        self, context: RequestContext[SearchOptions], search: Search, prepared: Prepared, *, progress: bool
    ) -> AsyncGenerator[SearchResult, None]:
        if search == attribution_pb2.SEARCH_FULL_SCAN:
            return FullScan(context, progress=progress).results()
        if search == attribution_pb2.SEARCH_TFIDF_RERANK:
            return TwoStageSearch(context, TokenCandidates(context), refinement=None, progress=progress).results()
        index = IndexCandidates(context, prepared)
        if search == attribution_pb2.SEARCH_INDEX_ONLY:
            return TwoStageSearch(context, index, refinement=None, progress=progress).estimates()
        refinement = Refinement(context, prepared, index, self._refining)
        union = search == attribution_pb2.SEARCH_UNION_RERANK
        source = UnionCandidates(context, index, TokenCandidates(context)) if union else index
        return TwoStageSearch(context, source, refinement=refinement, progress=progress).results()


def _choose(context: RequestContext[SearchOptions]) -> Search:
    may_read = current_identity().may(Scope.READ_TEXTS)
    return choose_search(context.generation, context.options.search, may_read=may_read)


async def _answer(
    context: RequestContext[SearchOptions], search: Search, prepared: Prepared, result: SearchResult
) -> Answer:
    options = context.options
    require_matches(result.sequences_searched or result.sequences_total, options.filter)
    noises = await _noises(context, result)
    if options.significant_only:
        result = only_significant(result, noises)
    layers = options.include_layers
    details = await fetch_details(context, result.rankings, layers=layers, tokens=options.include_tokens)
    attributions = tuple(
        build_attribution(
            context,
            number,
            prepared.queries[number],
            ranking,
            details[number],
            recall=result.recalls[number] if result.recalls else RecallOfQuery(),
            truncation_error=result.truncation_errors[number] if result.truncation_errors else 0.0,
            noise=noises[number],
            significant_only=options.significant_only,
        )
        for number, ranking in enumerate(result.rankings)
    )
    metadata = build_metadata(
        context,
        warnings=(
            *prepared.warnings,
            *search_warnings(context, search, result, top_k=options.top_k, filtered=options.filter is not None),
            *fewer_warnings(attributions, result, options),
            *noise_warnings(attributions, result, options),
            *linear_range.of_attributions(context, attributions),
            *linear_range.of_sums(attributions),
            *negatives.of_attributions(context, attributions),
        ),
        sequences_scored=result.sequences_scored + result.sequences_sampled,
        sequences_searched=result.sequences_searched,
        search=search,
        unreachable=result.unreachable,
        with_layers=layers,
    )
    return Answer(attributions=attributions, metadata=metadata)


async def _noises(context: RequestContext[SearchOptions], result: SearchResult) -> tuple[QueryNoise | None, ...]:
    """Return the noise of each query, ``None`` where it is not known."""
    with context.watch.stage("shrink"):
        return await noise_of(result)
