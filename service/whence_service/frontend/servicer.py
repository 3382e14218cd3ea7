"""The calls of ``whence.v1.AttributionService``: check, admit, route, hand over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2_grpc, query_pb2
from whence.v1 import attribution_service_pb2 as messages
from whence_service.frontend.calls.attribute import Attributor
from whence_service.frontend.calls.group_influence import GroupInfluencer
from whence_service.frontend.calls.models import describe_model, list_models
from whence_service.frontend.calls.score import Scorer
from whence_service.frontend.calls.self_influence import SelfInfluencer
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.request.context import Job
from whence_service.frontend.request.fields import top_level_fields
from whence_service.frontend.request.validation import (
    Asked,
    RequestLimits,
    check_damping,
    check_groups,
    check_lengths,
    check_options,
    check_queries,
    check_query,
    check_self_influence,
    check_sequence,
    check_sequences,
    choose_layers,
    choose_rank,
)
from whence_service.frontend.responses.attributions import Answer, build_partial
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.frontend.workers.replicas import Replicas
from whence_service.frontend.workers.routing import plan_route
from whence_service.rpc.admission import Admission
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.records import Observer
from whence_service.rpc.stages import Stopwatch

SERVICE: Final = "whence.v1.AttributionService"
# A worker's answer may take this share of the message limit; a client's answer has to hold several of them.
_BUDGET_SHARE: Final = 4
_FLOAT64_BYTES: Final = 8

_Context = grpc.aio.ServicerContext[Any, Any]
AnswerMessage = TypeVar("AnswerMessage", bound=Message)


class AttributionServicer(attribution_service_pb2_grpc.AttributionServiceServicer):
    """Serves the public service from the workers of a pool. Holds no state of its own."""

    def __init__(self, settings: FrontEndSettings, pool: WorkerPool, admission: Admission, observe: Observer) -> None:
        self._settings = settings
        self._pool = pool
        self._admission = admission
        self._observe = observe
        self._limits = limits_of(settings)
        budget_bytes = settings.max_message_bytes // _BUDGET_SHARE
        self._attributor = Attributor(pool, budget_bytes=budget_bytes)
        self._scorer = Scorer(pool, budget_bytes=budget_bytes)
        self._group_influencer = GroupInfluencer(pool)
        self._self_influencer = SelfInfluencer(pool, self._scorer, budget_bytes=budget_bytes)

    async def Attribute(  # noqa: N802 - the protocol's name
        self, request: messages.AttributeRequest, context: _Context
    ) -> messages.AttributeResponse:
        """Answer with the most influential sequences of one query."""
        asked = check_options(request.options, self._limits)
        check_query(request.query)
        async with self._admit_search(context, request.model, [request.query], ["query"], asked) as job:
            return self._fitting(_single(await self._attributor.attribute(job, asked)))

    async def StreamAttribute(  # noqa: N802 - the protocol's name
        self, request: messages.StreamAttributeRequest, context: _Context
    ) -> AsyncIterator[messages.StreamAttributeResponse]:
        """Answer the same, with what was found so far as the corpus is scanned."""
        asked = check_options(request.options, self._limits)
        check_query(request.query)
        async with (
            self._admit_search(context, request.model, [request.query], ["query"], asked) as job,
            aclosing(self._attributor.stream(job, asked)) as events,
        ):
            async for event in events:
                if isinstance(event, Answer):
                    yield self._fitting(messages.StreamAttributeResponse(result=_single(event)))
                else:
                    prepared, found = event
                    partial = build_partial(job, prepared.queries[0], found)
                    yield messages.StreamAttributeResponse(partial=partial)

    async def BatchAttribute(  # noqa: N802 - the protocol's name
        self, request: messages.BatchAttributeRequest, context: _Context
    ) -> messages.BatchAttributeResponse:
        """Answer with the most influential sequences of many queries, after one pass over the corpus."""
        asked = check_options(request.options, self._limits)
        check_queries(request.queries, self._limits)
        fields = _numbered(request.queries)
        async with self._admit_search(context, request.model, request.queries, fields, asked) as job:
            answer = await self._attributor.attribute(job, asked)
            return self._fitting(
                messages.BatchAttributeResponse(attributions=answer.attributions, metadata=answer.metadata)
            )

    async def Score(  # noqa: N802 - the protocol's name
        self, request: messages.ScoreRequest, context: _Context
    ) -> messages.ScoreResponse:
        """Answer with the influence of given sequences on given queries."""
        check_queries(request.queries, self._limits)
        check_sequences(request.sequences, self._limits)
        damping = request.damping_factor if request.HasField("damping_factor") else None
        check_damping(damping, "damping_factor")
        fields = _numbered(request.queries)
        async with self._admit(context, request.model, request.queries, fields, damping) as job:
            self._check_answer_size(request, job.generation)
            return self._fitting(
                await self._scorer.score(job, request.sequences, include_layers=request.include_layers)
            )

    async def Explain(  # noqa: N802 - the protocol's name
        self, request: messages.ExplainRequest, context: _Context
    ) -> messages.ExplainResponse:
        """Answer with one sequence's influence on one query, split over layers and tokens."""
        check_query(request.query)
        check_sequence(request.sequence)
        damping = request.damping_factor if request.HasField("damping_factor") else None
        check_damping(damping, "damping_factor")
        async with self._admit(context, request.model, [request.query], ["query"], damping) as job:
            return self._fitting(await self._scorer.explain(job, request.sequence))

    async def SelfInfluence(  # noqa: N802 - the protocol's name
        self, request: messages.SelfInfluenceRequest, context: _Context
    ) -> messages.SelfInfluenceResponse:
        """Answer with the sequences that influence themselves most, of the corpus or of some that are given."""
        check_self_influence(request, self._limits)
        damping = request.damping_factor if request.HasField("damping_factor") else None
        if request.sequences:
            async with self._admit(context, request.model, [], [], damping) as job:
                return self._fitting(await self._self_influencer.of_given(job, request.sequences, request.top_k))
        options = attribution_pb2.AttributionOptions(top_k=request.top_k)
        if request.HasField("filter"):
            options.filter.CopyFrom(request.filter)
        with top_level_fields():
            asked = check_options(options, self._limits)
        async with self._admit_search(context, request.model, [], [], asked) as job:
            return self._fitting(await self._self_influencer.answer(job, asked))

    async def GroupInfluence(  # noqa: N802 - the protocol's name
        self, request: messages.GroupInfluenceRequest, context: _Context
    ) -> messages.GroupInfluenceResponse:
        """Answer with how much of an output comes from each group of sequences."""
        check_query(request.query)
        with top_level_fields():
            groups = check_groups(request, self._limits)
        options = attribution_pb2.AttributionOptions(layers=request.layers)
        if request.HasField("damping_factor"):
            options.damping_factor = request.damping_factor
        with top_level_fields():
            asked = check_options(options, self._limits)
            async with self._admit_search(context, request.model, [request.query], ["query"], asked) as job:
                return self._fitting(await self._group_influencer.answer(job, groups))

    async def ListModels(  # noqa: N802 - the protocol's name
        self, request: messages.ListModelsRequest, context: _Context
    ) -> messages.ListModelsResponse:
        """Answer with one page of the known models, by name."""
        return list_models(self._pool.placement, self._limits, request.page_size, request.page_token)

    async def GetModel(  # noqa: N802 - the protocol's name
        self, request: messages.GetModelRequest, context: _Context
    ) -> messages.GetModelResponse:
        """Answer with one known model, whether or not all of its shards are reachable."""
        generation = self._pool.placement.find(request.name)
        return messages.GetModelResponse(model=describe_model(generation, self._limits))

    def _admit_search(
        self,
        context: _Context,
        model: str,
        queries: Sequence[query_pb2.Query],
        fields: Sequence[str],
        asked: Asked,
    ) -> AbstractAsyncContextManager[Job]:
        return self._admit(context, model, queries, fields, asked.damping_factor, asked)

    @asynccontextmanager
    async def _admit(
        self,
        context: _Context,
        model: str,
        queries: Sequence[query_pb2.Query],
        fields: Sequence[str],
        damping_factor: float | None,
        asked: Asked | None = None,
    ) -> AsyncIterator[Job]:
        partial = asked is not None and asked.partial
        deadline = Deadline.of(
            context, default_s=self._settings.default_deadline_s, max_s=self._settings.max_deadline_s
        )
        # A request for what is not served needs no place in the queue to be told so.
        generation = self._pool.placement.choose(model, partial=partial)
        check_lengths(queries, generation.model.limits, fields)
        watch = Stopwatch(self._observe)
        started = time.perf_counter()
        async with self._admission.slot(deadline):
            watch.add("queue", time.perf_counter() - started)
            generation = self._pool.placement.choose(
                model, partial=partial
            )  # the workers may have changed while it waited
            default, whole = generation.model.default_damping_factor, generation.model.limits.max_queries
            route = plan_route(generation, queries)
            yield Job(
                route=route,
                replicas=Replicas(route, self._observe),
                queries=tuple(queries),
                fields=tuple(fields),
                damping_factor=default if damping_factor is None else damping_factor,
                deadline=deadline,
                watch=watch,
                partial=partial,
                layers=choose_layers(asked.layers, generation.layers) if asked else (),
                query_rank=choose_rank(asked.query_rank, len(queries), whole) if asked else 0,
            )

    def _fitting(self, answer: AnswerMessage) -> AnswerMessage:
        # gRPC itself would fail such a call as RESOURCE_EXHAUSTED, which clients take for overload and try
        # again.
        size_bytes = answer.ByteSize()
        if size_bytes > self._settings.max_message_bytes:
            raise InvalidRequestError(
                f"the answer takes {size_bytes} bytes and this server sends at most "
                f"{self._settings.max_message_bytes}; ask for fewer sequences or queries at once, or without "
                "details",
                reason=Reason.TOO_LARGE_ANSWER,
            )
        return answer

    def _check_answer_size(self, request: messages.ScoreRequest, generation: Generation) -> None:
        layers = len(generation.layers) if request.include_layers else 1
        size_bytes = len(request.queries) * len(request.sequences) * layers * _FLOAT64_BYTES
        if size_bytes > self._settings.max_message_bytes // 2:
            raise InvalidRequestError(
                f"the answer would take {size_bytes} bytes for {len(request.queries)} queries, "
                f"{len(request.sequences)} sequences and {layers} layers; ask for fewer at once, or without "
                "layers",
                reason=Reason.TOO_LARGE_ANSWER,
                field="sequences",
            )


def limits_of(settings: FrontEndSettings) -> RequestLimits:
    """Return the most that one request may ask."""
    return RequestLimits(
        max_top_k=settings.max_top_k,
        max_queries=settings.max_queries,
        max_score_sequences=settings.max_score_sequences,
        max_candidates=settings.max_candidates,
    )


def _single(answer: Answer) -> messages.AttributeResponse:
    (attribution,) = answer.attributions
    return messages.AttributeResponse(attribution=attribution, metadata=answer.metadata)


def _numbered(queries: Sequence[query_pb2.Query]) -> list[str]:
    return [f"queries[{number}]" for number in range(len(queries))]
