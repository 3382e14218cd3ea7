"""The worker's calls: each checks, waits for its place, has the parts do the work, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

import grpc
import numpy as np

from whence.errors import InvalidRequestError
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2, worker_service_pb2_grpc
from whence_backends.contract import Detail
from whence_backends.topk import Order, Ranked, TopK
from whence_backends.worker import wire
from whence_backends.worker.gradients import NamedGradient
from whence_backends.worker.queries import PreparedTokens
from whence_backends.worker.scan import ScanJob, ScanProgress
from whence_backends.worker.scoring import score_sequences
from whence_backends.worker.sequences import ResolvedSequence
from whence_backends.worker.served import ServedModel
from whence_service.rpc.admission import Admission
from whence_service.rpc.deadlines import Deadline
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
# Above this, an answer says that its queries' stored gradients lost something to truncation.
_NOTABLE_TRUNCATION: Final = 0.01


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
                worker_service_pb2.CorpusShard(shard=shard.name, sequences=shard.sequences) for shard in corpus.shards
            ],
            corpus_shards=[shard.name for shard in corpus.all_shards],
        )

    async def PrepareQueries(  # noqa: N802
        self, request: worker_service_pb2.PrepareQueriesRequest, context: _Context
    ) -> worker_service_pb2.PrepareQueriesResponse:
        """Have the gradients of the queries in the cache."""
        served, stopwatch = self._served(), Stopwatch()
        served.require_generation(request.generation)
        async with self._admission.slot(Deadline.of(context)):
            prepared = await served.tokenize(request.queries, stopwatch)
            gradients = await served.find_gradients(prepared, stopwatch)
        pairs = zip(prepared, gradients, strict=True)
        return worker_service_pb2.PrepareQueriesResponse(
            queries=[_prepared_query(query, gradient) for query, gradient in pairs],
            timings=self._timings(stopwatch),
            warnings=_truncation_warnings(gradients),
        )

    async def Scan(  # noqa: N802
        self, request: worker_service_pb2.ScanRequest, context: _Context
    ) -> AsyncIterator[worker_service_pb2.ScanResponse]:
        """Score every sequence of the shards; report progress where asked, and last the best sequences."""
        served, stopwatch, deadline = self._served(), Stopwatch(), Deadline.of(context)
        served.require_generation(request.generation)
        shards, orders = served.held_shards(request.shards), _orders(request)
        async with self._admission.slot(deadline):
            prepared = await served.tokenize(request.queries, stopwatch)
            gradients = await served.find_gradients(prepared, stopwatch)
            preconditioned = await served.precondition(gradients, request.damping_factor, stopwatch)
            job = ScanJob(
                preconditioned=preconditioned,
                shards=shards,
                k=request.top_k,
                orders=orders,
                deadline=deadline,
            )
            async with aclosing(served.scanner.scan(job, stopwatch)) as scan:
                async for progress in scan:
                    if progress.done or request.progress:
                        response = _scan_response(progress, served, len(prepared))
                        response.timings.extend(self._timings(stopwatch) if progress.done else [])
                        yield response

    async def ScoreSequences(  # noqa: N802
        self, request: worker_service_pb2.ScoreSequencesRequest, context: _Context
    ) -> worker_service_pb2.ScoreSequencesResponse:
        """Score the given sequences, or only look them up."""
        served, stopwatch, deadline = self._served(), Stopwatch(), Deadline.of(context)
        served.require_generation(request.generation)
        detail = _detail(request)
        with_offsets = detail is Detail.LAYERS_TOKENS
        with stopwatch.stage("lookup"):
            resolved = await asyncio.to_thread(
                served.resolver.resolve, request.sequences, skip_unknown=request.skip_unknown
            )
        messages = [_scored_sequence(sequence, with_offsets=with_offsets) for sequence in resolved]
        response = worker_service_pb2.ScoreSequencesResponse(sequences=messages)
        if not request.lookup_only:
            async with self._admission.slot(deadline):
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
        prepared = await served.tokenize(request.queries, stopwatch)
        gradients = await served.find_gradients(prepared, stopwatch)
        influences = await score_sequences(
            served.scorer,
            await served.precondition(gradients, request.damping_factor, stopwatch),
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
        response.warnings.extend(_truncation_warnings(gradients))

    def _timings(self, stopwatch: Stopwatch) -> list[attribution_pb2.StageTiming]:
        """Return where the time of a finished call went, and observe each stage once."""
        timings = stopwatch.timings()
        for timing in timings:
            self._observe(StageRecord(stage=timing.stage, duration_s=timing.seconds))
        return timings


def _orders(request: worker_service_pb2.ScanRequest) -> tuple[Order, ...]:
    if request.top_k < 1:
        raise InvalidRequestError("top_k is 0; ask for at least 1 sequence", reason="BAD_TOP_K", field="top_k")
    if request.direction not in _ORDERS:
        raise InvalidRequestError(
            f"direction {request.direction} is not known to this server; use DIRECTION_POSITIVE, "
            "DIRECTION_NEGATIVE or DIRECTION_BOTH",
            reason="UNKNOWN_DIRECTION",
            field="direction",
        )
    return _ORDERS[request.direction]


def _detail(request: worker_service_pb2.ScoreSequencesRequest) -> Detail:
    if request.detail not in _DETAILS:
        raise InvalidRequestError(
            f"detail {request.detail} is not known to this server; use DETAIL_TOTAL, DETAIL_LAYERS or "
            "DETAIL_LAYERS_TOKENS",
            reason="UNKNOWN_DETAIL",
            field="detail",
        )
    return _DETAILS[request.detail]


def _prepared_query(query: PreparedTokens, named: NamedGradient) -> worker_service_pb2.PreparedQuery:
    return worker_service_pb2.PreparedQuery(
        query_key=named.key,
        log_likelihood=named.gradient.log_likelihood,
        completion_tokens=query.completion_tokens,
        truncation_error=named.gradient.truncation_error,
    )


def _scored_sequence(sequence: ResolvedSequence, *, with_offsets: bool) -> worker_service_pb2.ScoredSequence:
    return worker_service_pb2.ScoredSequence(index=sequence.index, sequence=sequence.message(with_offsets=with_offsets))


def _scan_response(progress: ScanProgress, served: ServedModel, queries: int) -> worker_service_pb2.ScanResponse:
    def candidates(order: Order, query: int) -> list[worker_service_pb2.Candidate]:
        top: TopK | None = progress.best.get(order)
        return [] if top is None else [_candidate(ranked, served) for ranked in top.ranked(query)]

    return worker_service_pb2.ScanResponse(
        sequences_scored=progress.sequences_scored,
        sequences_total=progress.sequences_total,
        candidates=[
            worker_service_pb2.Candidates(
                positive=candidates(Order.HIGHEST, query), negative=candidates(Order.LOWEST, query)
            )
            for query in range(queries)
        ],
        done=progress.done,
    )


def _candidate(ranked: Ranked, served: ServedModel) -> worker_service_pb2.Candidate:
    return worker_service_pb2.Candidate(
        shard=served.shard_of(ranked.position), position=ranked.position, raw_influence=ranked.influence
    )


def _truncation_warnings(gradients: Sequence[NamedGradient]) -> list[attribution_pb2.Warning]:
    worst = max((named.gradient.truncation_error for named in gradients), default=0.0)
    if worst <= _NOTABLE_TRUNCATION:
        return []
    return [
        attribution_pb2.Warning(
            code="QUERY_GRADIENT_TRUNCATED",
            message=f"the stored gradient of a query differs from the whole one by {worst:.1%} (Frobenius "
            "norm); raise the worker's query_rank for more exact influences",
        )
    ]
