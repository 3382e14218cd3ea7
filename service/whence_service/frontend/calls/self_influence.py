"""The training sequences with the largest self-influence: those of every shard, merged and described."""

from __future__ import annotations

from whence import tensors
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.calls.score import score_on_themselves
from whence_service.frontend.request.checked import SelfInfluenceOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.responses import linear_range
from whence_service.frontend.responses.attributions import build_hits
from whence_service.frontend.responses.hit_details import fetch_details
from whence_service.frontend.responses.metadata import build_metadata
from whence_service.frontend.responses.units import InfluenceScale
from whence_service.frontend.responses.warnings import search_warnings
from whence_service.frontend.search.candidates import ShardSearch
from whence_service.frontend.search.policy import choose_search, require_matches
from whence_service.frontend.search.rankings import SearchResult, merge_rankings
from whence_service.frontend.workers.routing import ShardGroup


async def self_influence_of_sequences(
    context: RequestContext[SelfInfluenceOptions],
) -> attribution_service_pb2.SelfInfluenceResponse:
    """Return the ``top_k`` of the given sequences, all for 0. Ties are in the order of the request.

    Raises :class:`~whence.errors.NotFoundError` (``SEQUENCE_NOT_FOUND``) for an id that no shard has.
    """
    scored = await score_on_themselves(context)
    scale = InfluenceScale.of(context.generation)
    raw = [tensors.unpack(sequence.raw_influence)[0] for sequence in scored.sequences]
    order = sorted(range(len(raw)), key=lambda number: -raw[number])[: context.options.top_k or len(raw)]
    hits = [
        attribution_pb2.Hit(
            rank=rank,
            sequence=scored.sequences[number].sequence,
            influence=scale.influence(raw[number]),
            raw_influence=raw[number],
        )
        for rank, number in enumerate(order, start=1)
    ]
    warnings = (*scored.warnings, *linear_range.of_self_influences(context, hits))
    return attribution_service_pb2.SelfInfluenceResponse(
        sequences=hits,
        metadata=build_metadata(context, warnings=warnings, sequences_scored=len(raw), with_layers=False),
    )


async def self_influence_of_corpus(
    context: RequestContext[SelfInfluenceOptions],
) -> attribution_service_pb2.SelfInfluenceResponse:
    """Return the ``top_k`` sequences of the corpus.

    Raises :class:`~whence.errors.MismatchError` (``MISSING_INDEX``) without an index, and
    :class:`~whence.errors.NotFoundError` for a filter that selects nothing.
    """
    search = choose_search(context.generation, attribution_pb2.SEARCH_INDEX_ONLY)
    with context.watch.stage("search"):
        answers = await _largest(context)
    searched = sum(answer.sequences_searched for answer in answers)
    parts = [[worker_service_pb2.Candidates(positive=answer.sequences)] for answer in answers]
    rankings = merge_rankings(
        parts, queries=1, top_k=context.options.top_k, direction=attribution_pb2.DIRECTION_POSITIVE, signed=False
    )
    result = SearchResult(rankings=rankings, sequences_scored=0, sequences_total=0, sequences_searched=searched)
    require_matches(searched, context.options.filter)
    described = await fetch_details(context, rankings, layers=False, tokens=False)
    warnings = search_warnings(
        context,
        attribution_pb2.SEARCH_UNSPECIFIED,
        result,
        top_k=context.options.top_k,
        filtered=context.options.filter is not None,
    )
    hits = build_hits(context, rankings[0], described[0])
    return attribution_service_pb2.SelfInfluenceResponse(
        sequences=hits,
        metadata=build_metadata(
            context,
            warnings=(*warnings, *linear_range.of_self_influences(context, hits)),
            sequences_scored=0,
            sequences_searched=searched,
            search=search,
            with_layers=False,
        ),
    )


async def _largest(context: RequestContext[SelfInfluenceOptions]) -> list[worker_service_pb2.SelfInfluenceResponse]:
    """Return the largest of every shard."""

    async def call(group: ShardGroup) -> worker_service_pb2.SelfInfluenceResponse:
        request = worker_service_pb2.SelfInfluenceRequest(
            shards=group.shards, top_k=context.options.top_k, filter=context.options.filter
        )
        return await context.workers.ask(group.worker, lambda stub: stub.SelfInfluence, request)

    return await ShardSearch(context, filtered=context.options.filter is not None).ask(call)
