"""The worker's calls: each checks, waits for its place, has the parts do the work, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, nullcontext
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2, worker_service_pb2_grpc
from whence_backends.contract import Detail, QueryGradient
from whence_backends.topk import Order, require_finite
from whence_backends.worker.gradients.source import through_layers
from whence_backends.worker.model.model_server import ServedModel
from whence_backends.worker.requests import wire
from whence_backends.worker.requests.sequences import ResolvedSequence
from whence_backends.worker.scoring.scan import ScanJob
from whence_backends.worker.scoring.sequence_scores import score_sequences
from whence_backends.worker.searching.groups import GroupSums, sum_groups
from whence_backends.worker.searching.search_queue import SearchJob
from whence_backends.worker.searching.token_search import TokenWeights
from whence_backends.worker.serving.responses import (
    candidate,
    chat_warnings,
    counts_response,
    groups_response,
    matches_response,
    prepared_query,
    refine_response,
    rescore_response,
    scan_response,
    scored_sequence,
    search_response,
    truncation_warnings,
)
from whence_service.rpc.admission import Admission
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.records import Observer, StageRecord, ignore
from whence_service.rpc.stages import Stopwatch

_Context = grpc.aio.ServicerContext[Any, Any]

_ORDERS: Final = {
    attribution_pb2.DIRECTION_UNSPECIFIED: (Order.HIGHEST,),
    attribution_pb2.DIRECTION_POSITIVE: (Order.HIGHEST,),
    attribution_pb2.DIRECTION_NEGATIVE: (Order.LOWEST,),
    attribution_pb2.DIRECTION_BOTH: (Order.HIGHEST, Order.LOWEST),
}
_DETAILS: Final = {
    worker_service_pb2.DETAIL_UNSPECIFIED: Detail.TOTAL,
    worker_service_pb2.DETAIL_TOTAL: Detail.TOTAL,
    worker_service_pb2.DETAIL_LAYERS: Detail.LAYERS,
    worker_service_pb2.DETAIL_LAYERS_TOKENS: Detail.LAYERS_TOKENS,
}


class WorkerServicer(worker_service_pb2_grpc.WorkerServiceServicer):
    """Answers from the model that ``served`` returns, which raises while there is none."""

    def __init__(self, served: Callable[[], ServedModel], admission: Admission, observe: Observer = ignore) -> None:
        self._served = served
        self._admission = admission
        self._observe = observe

    async def GetInfo(  # noqa: N802
        self, request: worker_service_pb2.GetInfoRequest, context: _Context
    ) -> worker_service_pb2.GetInfoResponse:
        """Return what this worker holds. Never waits for its turn."""
        served = self._served()
        corpus = served.loaded.corpus
        return worker_service_pb2.GetInfoResponse(
            model=served.model,
            shards=[
                worker_service_pb2.CorpusShard(
                    shard=shard.name, sequences=shard.sequences, first_position=shard.first_position
                )
                for shard in corpus.shards
            ],
            corpus_shards=[shard.name for shard in corpus.all_shards],
        )

    async def PrepareQueries(  # noqa: N802
        self, request: worker_service_pb2.PrepareQueriesRequest, context: _Context
    ) -> worker_service_pb2.PrepareQueriesResponse:
        """Have the gradients of the queries in the cache."""
        served, stopwatch = self._served(), Stopwatch()
        served.require_generation(request.generation)
        index = served.require_index() if request.sketch else None
        sketches: list[Any] = [None] * len(request.queries)
        async with self._admission.slot(Deadline.of(context)):
            prepared = await served.tokenize(request.queries, stopwatch, rank=request.preconditioning.rank)
            gradients = await served.find_gradients(prepared, stopwatch)
            if index is not None:
                how = served.preconditioning(request.preconditioning)
                through = [through_layers(gradient, how.layers) for gradient in gradients]
                sketches = await index.sketches(through, how.damping_factor, stopwatch)
        parts = zip(prepared, gradients, sketches, strict=True)
        return worker_service_pb2.PrepareQueriesResponse(
            queries=[prepared_query(query, gradient, sketch) for query, gradient, sketch in parts],
            timings=self._timings(stopwatch),
            warnings=[*chat_warnings(prepared), *truncation_warnings([named.gradient for named in gradients])],
        )

    async def Scan(  # noqa: N802
        self, request: worker_service_pb2.ScanRequest, context: _Context
    ) -> AsyncIterator[worker_service_pb2.ScanResponse]:
        """Score every sequence of the shards; report progress where asked, and last the best sequences."""
        served, stopwatch, deadline = self._served(), Stopwatch(), Deadline.of(context)
        served.require_generation(request.generation)
        shards, orders = served.held_shards(request.shards), _orders(request.direction)
        k, keep = _count(request.top_k, "top_k"), await served.filters.of(request.filter, shards)
        async with self._admission.slot(deadline):
            prepared = await served.tokenize(request.queries, stopwatch, rank=request.preconditioning.rank)
            gradients = await served.find_gradients(prepared, stopwatch)
            preconditioned = await served.precondition(gradients, request.preconditioning, stopwatch)
            job = ScanJob(
                preconditioned=preconditioned,
                shards=shards,
                k=k,
                orders=orders,
                deadline=deadline,
                keep=keep,
            )
            async with aclosing(served.scanner.scan(job, stopwatch)) as scan:
                async for progress in scan:
                    if progress.done or request.progress:
                        response = scan_response(progress, served, len(prepared))
                        if progress.done:
                            response.timings.extend(self._timings(stopwatch))
                            response.truncation_errors.extend(preconditioned.truncation_errors)
                        yield response

    async def Search(  # noqa: N802
        self, request: worker_service_pb2.SearchRequest, context: _Context
    ) -> worker_service_pb2.SearchResponse:
        """Return the rows of the index whose estimated influence is largest."""
        served, stopwatch, deadline = self._served(), Stopwatch(), Deadline.of(context)
        served.require_generation(request.generation)
        shards = served.held_shards(request.shards)
        job = SearchJob(
            sketches=wire.array(request.sketches, "sketches"),
            shards=shards,
            k=_count(request.candidates, "candidates"),
            orders=_orders(request.direction),
            deadline=deadline,
            keep=await served.filters.of(request.filter, shards),
        )
        response = search_response(await served.require_index().search(job, stopwatch))
        response.timings.extend(self._timings(stopwatch))
        return response

    async def ReadIndexRows(  # noqa: N802
        self, request: worker_service_pb2.ReadIndexRowsRequest, context: _Context
    ) -> worker_service_pb2.ReadIndexRowsResponse:
        """Return what the index holds of sequences."""
        served, stopwatch = self._served(), Stopwatch()
        served.require_generation(request.generation)
        index = served.require_index()
        with stopwatch.stage("read_rows"):
            rows = await asyncio.to_thread(index.rows, request.positions)
        return worker_service_pb2.ReadIndexRowsResponse(rows=rows, timings=self._timings(stopwatch))

    async def RefineSketch(  # noqa: N802
        self, request: worker_service_pb2.RefineSketchRequest, context: _Context
    ) -> worker_service_pb2.RefineSketchResponse:
        """Learn a better sketch from the exact influences of some sequences."""
        served, stopwatch = self._served(), Stopwatch()
        served.require_generation(request.generation)
        index = served.require_index()
        sketch = wire.array(request.sketch, "sketch")
        influences = wire.array(request.raw_influence, "raw_influence")
        with stopwatch.stage("learn"):
            refined = await index.refine(sketch, request.rows, influences)
        response = refine_response(refined)
        response.timings.extend(self._timings(stopwatch))
        return response

    async def CountTokens(  # noqa: N802
        self, request: worker_service_pb2.CountTokensRequest, context: _Context
    ) -> worker_service_pb2.CountTokensResponse:
        """Return which tokens queries consist of, and how many sequences have each."""
        served, stopwatch = self._served(), Stopwatch()
        served.require_generation(request.generation)
        shards = served.held_shards(request.shards)
        async with self._admission.slot(Deadline.of(context)):
            prepared = await served.tokenize(request.queries, stopwatch)
            with stopwatch.stage("search"):
                counts = await asyncio.to_thread(served.token_search.count, prepared, shards)
        response = counts_response(counts, sum(len(served.loaded.corpus.positions(shard)) for shard in shards))
        response.timings.extend(self._timings(stopwatch))
        return response

    async def MatchTokens(  # noqa: N802
        self, request: worker_service_pb2.MatchTokensRequest, context: _Context
    ) -> worker_service_pb2.MatchTokensResponse:
        """Return the sequences that share the most weighty tokens with queries."""
        served, stopwatch, check = self._served(), Stopwatch(), _deadline_check(context, "while tokens were compared")
        served.require_generation(request.generation)
        shards, k = served.held_shards(request.shards), _count(request.candidates, "candidates")
        keep = await served.filters.of(request.filter, shards)
        queries = [
            TokenWeights(tokens=np.array(query.tokens, np.int64).astype(np.int32), weights=np.array(query.weights))
            for query in request.queries
        ]
        async with self._admission.slot(Deadline.of(context)):
            with stopwatch.stage("search"):
                top, searched = await asyncio.to_thread(served.token_search.match, queries, shards, k, keep, check)
        response = matches_response([_sharing(*top.arrays(query)) for query in range(len(queries))], searched)
        response.timings.extend(self._timings(stopwatch))
        return response

    async def SelfInfluence(  # noqa: N802
        self, request: worker_service_pb2.SelfInfluenceRequest, context: _Context
    ) -> worker_service_pb2.SelfInfluenceResponse:
        """Return the rows of the index that influence themselves most."""
        served, stopwatch = self._served(), Stopwatch()
        served.require_generation(request.generation)
        index, shards = served.require_index(), served.held_shards(request.shards)
        k, keep = _count(request.top_k, "top_k"), await served.filters.of(request.filter, shards)
        with stopwatch.stage("search"):
            ranked, searched = await asyncio.to_thread(index.self_influence, shards, k, keep)
        return worker_service_pb2.SelfInfluenceResponse(
            sequences=[candidate(one, served) for one in ranked],
            sequences_searched=searched,
            timings=self._timings(stopwatch),
        )

    async def EstimateGroups(  # noqa: N802
        self, request: worker_service_pb2.EstimateGroupsRequest, context: _Context
    ) -> worker_service_pb2.EstimateGroupsResponse:
        """Return what the index says of groups of sequences, and the sequences by which to correct that."""
        served, stopwatch, check = self._served(), Stopwatch(), _deadline_check(context, "while the index was summed")
        served.require_generation(request.generation)
        index, shards = served.require_index(), served.held_shards(request.shards)
        samples, keep = _count(request.samples, "samples"), await served.filters.of(request.filter, shards)
        sketch = wire.array(request.sketch, "sketch")

        def work() -> GroupSums:
            names, groups = served.groupings.of(shards, request.group_by)
            parts = index.row_estimates(sketch, shards, groups, keep, check)
            return sum_groups(names, parts, samples, request.seed)

        async with self._admission.slot(Deadline.of(context)):
            with stopwatch.stage("search"):
                sums = await asyncio.to_thread(work)
        response = groups_response(sums)
        response.timings.extend(self._timings(stopwatch))
        return response

    async def Rescore(  # noqa: N802
        self, request: worker_service_pb2.RescoreRequest, context: _Context
    ) -> AsyncIterator[worker_service_pb2.RescoreResponse]:
        """Score the given sequences of the corpus, and hand over their influences as they come."""
        served, stopwatch, deadline = self._served(), Stopwatch(), Deadline.of(context)
        served.require_generation(request.generation)
        async with self._admission.slot(deadline):
            prepared = await served.tokenize(request.queries, stopwatch, rank=request.preconditioning.rank)
            gradients = await served.find_gradients(prepared, stopwatch)
            how = served.preconditioning(request.preconditioning)
            scored = served.rescores.rescore(gradients, how, request.positions, deadline, stopwatch)
            async with aclosing(scored):
                async for part in scored:
                    yield rescore_response(part)
        yield worker_service_pb2.RescoreResponse(timings=self._timings(stopwatch))

    async def ScoreSequences(  # noqa: N802
        self, request: worker_service_pb2.ScoreSequencesRequest, context: _Context
    ) -> worker_service_pb2.ScoreSequencesResponse:
        """Score the given sequences, or only look them up."""
        served, stopwatch, deadline = self._served(), Stopwatch(), Deadline.of(context)
        served.require_generation(request.generation)
        detail = _detail(request)
        with_offsets = detail is Detail.LAYERS_TOKENS
        # Looking up sequences for an answer does not wait behind those that compute.
        async with nullcontext() if request.lookup_only else self._admission.slot(deadline):
            with stopwatch.stage("lookup"):
                resolved = await asyncio.to_thread(
                    served.resolver.resolve, request.sequences, skip_unknown=request.skip_unknown
                )
            messages = [scored_sequence(sequence, with_offsets=with_offsets) for sequence in resolved]
            response = worker_service_pb2.ScoreSequencesResponse(sequences=messages, warnings=chat_warnings(resolved))
            if request.on_themselves and not request.lookup_only:
                await self._score_themselves(request, response, resolved, served, deadline, stopwatch)
            elif not request.lookup_only:
                await self._score(request, response, resolved, detail, served, deadline, stopwatch)
        response.timings.extend(self._timings(stopwatch))
        return response

    async def _score(
        self,
        request: worker_service_pb2.ScoreSequencesRequest,
        response: worker_service_pb2.ScoreSequencesResponse,
        resolved: Sequence[ResolvedSequence],
        detail: Detail,
        served: ServedModel,
        deadline: Deadline,
        stopwatch: Stopwatch,
    ) -> None:
        """Fill the influences into ``response``, whose sequences are the ``resolved`` ones."""
        prepared = await served.tokenize(request.queries, stopwatch, rank=request.preconditioning.rank)
        gradients = await served.find_gradients(prepared, stopwatch)
        influences = await score_sequences(
            served.scorer,
            await served.precondition(gradients, request.preconditioning, stopwatch),
            [sequence.record.tokens for sequence in resolved],
            detail=detail,
            token_budget=served.batch_tokens,
            deadline=deadline,
            stopwatch=stopwatch,
        )
        for message, influence in zip(response.sequences, influences, strict=True):
            message.raw_influence.CopyFrom(wire.tensor(influence))
        log_likelihoods = np.array([query.gradient.log_likelihood for query in gradients])
        response.log_likelihood.CopyFrom(wire.tensor(log_likelihoods))
        response.warnings.extend(chat_warnings(prepared))
        response.warnings.extend(truncation_warnings([named.gradient for named in gradients]))

    async def _score_themselves(
        self,
        request: worker_service_pb2.ScoreSequencesRequest,
        response: worker_service_pb2.ScoreSequencesResponse,
        resolved: Sequence[ResolvedSequence],
        served: ServedModel,
        deadline: Deadline,
        stopwatch: Stopwatch,
    ) -> None:
        """Fill in each sequence's influence on itself, [1], one after the other: each is a query of its own."""
        if request.queries:
            raise InvalidRequestError(
                f"{len(request.queries)} queries beside on_themselves; send none: each sequence is its own query",
                reason=Reason.UNEXPECTED_QUERIES,
                field="queries",
            )
        damping = served.preconditioning(request.preconditioning).damping_factor
        gradients: list[QueryGradient] = []
        for message, sequence in zip(response.sequences, resolved, strict=True):
            if deadline.remaining_s() <= 0:
                raise deadline_error(f"after {len(gradients)} of {len(resolved)} sequences were scored")
            influence, gradient = await served.influence_on_itself(sequence.record.tokens, damping, stopwatch)
            require_finite(influence, np.array([sequence.index]))
            message.raw_influence.CopyFrom(wire.tensor(influence[:, 0]))
            gradients.append(gradient)
        likelihoods = np.array([gradient.log_likelihood for gradient in gradients])
        response.log_likelihood.CopyFrom(wire.tensor(likelihoods))
        response.warnings.extend(truncation_warnings(gradients))

    def _timings(self, stopwatch: Stopwatch) -> list[attribution_pb2.StageTiming]:
        """Return where the time of a finished call went, and observe each stage once."""
        timings = stopwatch.timings()
        for timing in timings:
            self._observe(StageRecord(stage=timing.stage, duration_s=timing.seconds))
        return timings


def _sharing(
    positions: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the sequences that share anything at all."""
    return positions[scores > 0], scores[scores > 0]


def _deadline_check(context: _Context, when: str) -> Callable[[], None]:
    """Return what raises :class:`~whence.errors.DeadlineError` once the call's deadline has passed."""
    deadline = Deadline.of(context)

    def check() -> None:
        if deadline.remaining_s() <= 0:
            raise deadline_error(when)

    return check


def _count(count: int, field: str) -> int:
    if count < 1:
        raise InvalidRequestError(
            f"{field} is 0; ask for at least 1 sequence", reason=Reason.INVALID_TOP_K, field=field
        )
    return count


def _orders(direction: attribution_pb2.Direction.ValueType) -> tuple[Order, ...]:
    if direction not in _ORDERS:
        raise InvalidRequestError(
            f"direction {direction} is not known to this server; use DIRECTION_POSITIVE, "
            "DIRECTION_NEGATIVE or DIRECTION_BOTH",
            reason=Reason.UNKNOWN_DIRECTION,
            field="direction",
        )
    return _ORDERS[direction]


def _detail(request: worker_service_pb2.ScoreSequencesRequest) -> Detail:
    if request.detail not in _DETAILS:
        raise InvalidRequestError(
            f"detail {request.detail} is not known to this server; use DETAIL_TOTAL, DETAIL_LAYERS or "
            "DETAIL_LAYERS_TOKENS",
            reason=Reason.UNKNOWN_DETAIL,
            field="detail",
        )
    return _DETAILS[request.detail]
