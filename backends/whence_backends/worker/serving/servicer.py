"""The worker's calls: each checks its request, waits for its place, has the parts do the work, and responds."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import numpy as np

from whence.worker.v1 import worker_service_pb2 as pb
from whence.worker.v1 import worker_service_pb2_grpc
from whence_backends.worker.gradients.source import through_layers
from whence_backends.worker.requests import wire
from whence_backends.worker.requests.options import count_of, orders_of
from whence_backends.worker.scoring.scan import ScanSpec
from whence_backends.worker.searching.draws import Drawn, draw
from whence_backends.worker.searching.group_sums import GroupSums, sum_groups
from whence_backends.worker.searching.search_queue import SearchSpec
from whence_backends.worker.searching.token_search import TokenWeights
from whence_backends.worker.serving import responses
from whence_backends.worker.serving.frame import Call, CallFrame, ServicerContext, streaming, unary
from whence_backends.worker.serving.sequence_scores import score_sequences

R = TypeVar("R")


class WorkerServicer(worker_service_pb2_grpc.WorkerServiceServicer):
    """Answers from the model of its frame."""

    def __init__(self, frame: CallFrame) -> None:
        self.frame = frame

    async def GetInfo(  # noqa: N802
        self, request: pb.GetInfoRequest, context: ServicerContext
    ) -> pb.GetInfoResponse:
        """Describe what this worker holds. Outside the frame: it is how a caller learns of the generation."""
        return responses.info_response(self.frame.model())

    @unary
    async def PrepareQueries(  # noqa: N802
        self, request: pb.PrepareQueriesRequest, call: Call
    ) -> pb.PrepareQueriesResponse:
        """Have the gradients of the queries in the cache, and sketch them where asked."""
        index = call.model.require_index() if request.sketch else None
        sketches: list[Any] = [None] * len(request.queries)
        async with call.slot():
            queries = await call.model.prepare(request.queries, call.context, rank=request.preconditioning.rank)
            if index is not None:
                preconditioning = call.model.preconditioning(request.preconditioning)
                through = [through_layers(gradient, preconditioning.layers) for gradient in queries.gradients]
                sketches = await index.sketches.of(through, preconditioning.damping_factor, call.context.stopwatch)
        return responses.prepare_response(queries, sketches)

    @streaming
    async def Scan(  # noqa: N802
        self, request: pb.ScanRequest, call: Call
    ) -> AsyncGenerator[pb.ScanResponse, None]:
        """Score every sequence in scope; report progress where asked, and last the best sequences."""
        model, orders, k = call.model, orders_of(request.direction), count_of(request.top_k, "top_k")
        scope = await model.scope(request.shards, request.filter)
        preconditioning = model.preconditioning(request.preconditioning)
        async with call.slot():
            prepared = await model.prepare(request.queries, call.context, rank=preconditioning.rank)
            queries = await model.precondition(prepared, preconditioning, call.context)
            spec = ScanSpec(queries=queries, scope=scope, k=k, orders=orders)
            async with aclosing(model.scanner.scan(spec, call.context)) as scan:
                async for progress in scan:
                    if progress.done or request.progress:
                        described = request.progress
                        build = functools.partial(
                            responses.scan_response, progress, model, queries, described=described
                        )
                        response = await _built(build, reads=described)
                        if progress.done:
                            call.finish(response)
                        yield response

    @unary
    async def Search(  # noqa: N802
        self, request: pb.SearchRequest, call: Call
    ) -> pb.SearchResponse:
        """Return the rows of the index whose estimated influence is largest."""
        spec = SearchSpec(
            sketches=wire.array(request.sketches, "sketches"),
            scope=await call.model.scope(request.shards, request.filter),
            k=count_of(request.candidates, "candidates"),
            orders=orders_of(request.direction),
            deadline=call.context.deadline,
        )
        return responses.search_response(await call.model.require_index().search(spec, call.context.stopwatch))

    @unary
    async def ReadIndexRows(  # noqa: N802
        self, request: pb.ReadIndexRowsRequest, call: Call
    ) -> pb.ReadIndexRowsResponse:
        """Return the encoded rows of sequences in the index."""
        index = call.model.require_index()
        with call.stage("read_rows"):
            return pb.ReadIndexRowsResponse(rows=await asyncio.to_thread(index.rows, request.positions))

    @unary
    async def RefineSketch(  # noqa: N802
        self, request: pb.RefineSketchRequest, call: Call
    ) -> pb.RefineSketchResponse:
        """Learn a better sketch from the exact influences of some sequences."""
        index = call.model.require_index()
        sketch = wire.array(request.sketch, "sketch")
        influences = wire.array(request.raw_influence, "raw_influence")
        with call.stage("learn"):
            return responses.refine_response(await index.refine(sketch, request.rows, influences))

    @unary
    async def CountTokens(  # noqa: N802
        self, request: pb.CountTokensRequest, call: Call
    ) -> pb.CountTokensResponse:
        """Return the tokens of queries, and how many sequences have each."""
        model, shards = call.model, call.model.held_shards(request.shards)
        async with call.slot():
            queries = await model.tokenize(request.queries, call.context)
            with call.stage("search"):
                counts = await asyncio.to_thread(model.token_search.count, queries, shards)
        searched = sum(len(model.loaded.corpus.positions(shard)) for shard in shards)
        return responses.counts_response(counts, searched)

    @unary
    async def MatchTokens(  # noqa: N802
        self, request: pb.MatchTokensRequest, call: Call
    ) -> pb.MatchTokensResponse:
        """Return the sequences that share the most weighty tokens with queries."""
        k = count_of(request.candidates, "candidates")
        scope = await call.model.scope(request.shards, request.filter)
        check = functools.partial(call.context.require_time, "while tokens were compared")
        queries = [
            TokenWeights(tokens=np.array(query.tokens, np.int64).astype(np.int32), weights=np.array(query.weights))
            for query in request.queries
        ]
        async with call.slot():
            with call.stage("search"):
                top, searched = await asyncio.to_thread(call.model.token_search.match, queries, scope, k, check)
        return responses.matches_response(top, len(queries), searched)

    @unary
    async def OverlapTokens(  # noqa: N802
        self, request: pb.OverlapTokensRequest, call: Call
    ) -> pb.OverlapTokensResponse:
        """Return the sequences that have the most n-grams of queries."""
        model, shards = call.model, call.model.held_shards(request.shards)
        check = functools.partial(call.context.require_time, "while n-grams were compared")
        async with call.slot():
            queries = await model.tokenize(request.queries, call.context)
            with call.stage("search"):
                overlaps, searched = await asyncio.to_thread(
                    model.overlap_search.find, queries, shards, request.ngram, check
                )
        return responses.overlaps_response(overlaps, searched)

    @unary
    async def DrawSequences(  # noqa: N802
        self, request: pb.DrawSequencesRequest, call: Call
    ) -> pb.DrawSequencesResponse:
        """Return sequences in scope that are drawn at random."""
        count, corpus = count_of(request.count, "count"), call.model.loaded.corpus
        scope = await call.model.scope(request.shards, request.filter)

        def work() -> Drawn:
            held = [(shard, corpus.positions(shard)) for shard in scope.shards]
            parts = [scope.rows(shard, len(positions)) + positions.start for shard, positions in held]
            return draw(parts, count, request.seed)

        with call.stage("search"):
            return responses.drawn_response(await asyncio.to_thread(work))

    @unary
    async def SelfInfluence(  # noqa: N802
        self, request: pb.SelfInfluenceRequest, call: Call
    ) -> pb.SelfInfluenceResponse:
        """Return the rows of the index that influence themselves most."""
        index, k = call.model.require_index(), count_of(request.top_k, "top_k")
        scope = await call.model.scope(request.shards, request.filter)
        with call.stage("search"):
            ranked, searched = await asyncio.to_thread(index.self_influence, scope, k)
        return responses.self_influence_response(ranked, searched, call.model)

    @unary
    async def EstimateGroups(  # noqa: N802
        self, request: pb.EstimateGroupsRequest, call: Call
    ) -> pb.EstimateGroupsResponse:
        """Return the estimated influence of groups of sequences, and a sample of sequences to correct it by."""
        index, samples = call.model.require_index(), count_of(request.samples, "samples")
        scope = await call.model.scope(request.shards, request.filter)
        sketch = wire.array(request.sketch, "sketch")
        check = functools.partial(call.context.require_time, "while the index was summed")

        def work() -> GroupSums:
            names, groups = call.model.groupings.of(scope.shards, request.group_by)
            return sum_groups(names, index.row_estimates(sketch, scope, groups, check), samples, request.seed)

        async with call.slot():
            with call.stage("search"):
                sums = await asyncio.to_thread(work)
        return responses.groups_response(sums)

    @streaming
    async def Rescore(  # noqa: N802
        self, request: pb.RescoreRequest, call: Call
    ) -> AsyncGenerator[pb.RescoreResponse, None]:
        """Score the given sequences of the corpus, and send their influences as they come."""
        model, preconditioning = call.model, call.model.preconditioning(request.preconditioning)
        async with call.slot():
            queries = await model.prepare(request.queries, call.context, rank=preconditioning.rank)
            scores = model.rescores.rescore(queries.gradients, preconditioning, request.positions, call.context)
            async with aclosing(scores):
                async for part in scores:
                    build = functools.partial(responses.rescore_response, part, model, described=request.progress)
                    yield await _built(build, reads=request.progress)
        last = pb.RescoreResponse()
        call.finish(last)
        yield last

    @unary
    async def ScoreSequences(  # noqa: N802
        self, request: pb.ScoreSequencesRequest, call: Call
    ) -> pb.ScoreSequencesResponse:
        """Score the given sequences, or only look them up."""
        return await score_sequences(request, call)


async def _built(build: Callable[[], R], *, reads: bool) -> R:
    """Return the result of ``build``, off the event loop if it ``reads`` files."""
    return await asyncio.to_thread(build) if reads else build()
