"""TextOverlap: the training sequence that has the most n-grams of a query, whatever its influence."""

from __future__ import annotations

from collections.abc import Sequence

from whence.v1 import attribution_service_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.checked import OverlapOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.request.fields import fields_of_caller
from whence_service.frontend.responses.hit_details import fetch_details
from whence_service.frontend.responses.metadata import build_metadata
from whence_service.frontend.search.candidates import ShardSearch
from whence_service.frontend.search.rankings import RankedSequence, Ranking
from whence_service.frontend.workers.routing import ShardGroup


async def text_overlap(context: RequestContext[OverlapOptions]) -> attribution_service_pb2.TextOverlapResponse:
    """Return the overlap of each query with the corpus: every sequence is compared, or the call fails."""
    with context.watch.stage("search"):
        answers = await _overlaps(context)
    merged = merge_overlaps(answers)
    rankings = [_ranking(context, overlap) for overlap in merged]
    described = await fetch_details(context, rankings, layers=False, tokens=False)
    overlaps = []
    for query, overlap, details in zip(context.request.queries, merged, described, strict=True):
        message = attribution_service_pb2.TextOverlap(
            query_id=query.query_id,
            tokens=overlap.tokens,
            ngram=overlap.ngram,
            ngrams=overlap.tokens - overlap.ngram + 1,
            shared_ngrams=overlap.shared_ngrams,
            longest_run=overlap.longest_run,
            sequences=overlap.sequences,
        )
        if overlap.HasField("position"):
            message.nearest.CopyFrom(details[overlap.position].sequence)
        overlaps.append(message)
    searched = sum(answer.sequences_searched for answer in answers)
    return attribution_service_pb2.TextOverlapResponse(
        overlaps=overlaps,
        metadata=build_metadata(
            context, warnings=(), sequences_scored=0, sequences_searched=searched, with_layers=False
        ),
    )


async def _overlaps(context: RequestContext[OverlapOptions]) -> list[messages.OverlapTokensResponse]:
    """Return the overlaps with every shard, from its owner."""

    async def call(group: ShardGroup) -> messages.OverlapTokensResponse:
        request = messages.OverlapTokensRequest(
            queries=context.request.queries, shards=group.shards, ngram=context.options.ngram
        )
        with fields_of_caller("queries", context.request.query_fields):
            return await context.workers.ask(group.worker, lambda stub: stub.OverlapTokens, request)

    return await ShardSearch(context, filtered=False).ask(call)


def merge_overlaps(answers: Sequence[messages.OverlapTokensResponse]) -> list[messages.TokenOverlap]:
    """Return each query's best overlap, and the sum of the sequences that share anything. Pure.

    Ties are decided as within a shard, so that the answer does not depend on which sequences share one.
    """
    merged = []
    for of_query in zip(*(answer.queries for answer in answers), strict=True):
        best = min(of_query, key=lambda overlap: (-overlap.shared_ngrams, -overlap.longest_run, overlap.position))
        overlap = messages.TokenOverlap()
        overlap.CopyFrom(best)
        overlap.sequences = sum(part.sequences for part in of_query)
        merged.append(overlap)
    return merged


def _ranking(context: RequestContext[OverlapOptions], overlap: messages.TokenOverlap) -> Ranking:
    """Return the nearest sequence as a ranking of one, whose influence nobody asked for."""
    if not overlap.HasField("position"):
        return Ranking()
    shard = context.generation.shard_of(overlap.position)
    return Ranking(positive=(RankedSequence(shard=shard, position=overlap.position, raw_influence=0.0),))
