"""The calls of ``whence.v1.AttributionService``: each is checked, admitted, routed and handed to its module."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_service_pb2 as messages
from whence.v1 import attribution_service_pb2_grpc
from whence_service.frontend.calls.attribute import Attributor
from whence_service.frontend.calls.cost import cost_of
from whence_service.frontend.calls.group_influence import group_influence
from whence_service.frontend.calls.models import describe_model, list_models
from whence_service.frontend.calls.score import explain, score
from whence_service.frontend.calls.self_influence import self_influence_of_corpus, self_influence_of_sequences
from whence_service.frontend.calls.text_overlap import text_overlap
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.request.checked import CheckedRequest, ScoreOptions
from whence_service.frontend.request.context import RequestContext, check_model_limits
from whence_service.frontend.request.limits import RequestLimits
from whence_service.frontend.request.permissions import check_texts
from whence_service.frontend.request.turn import Turn
from whence_service.frontend.request.validation import (
    check_attribute,
    check_explain,
    check_group_influence,
    check_score,
    check_self_influence,
    check_text_overlap,
)
from whence_service.frontend.responses.attributions import Answer
from whence_service.frontend.workers.placement import Generation
from whence_service.frontend.workers.pool import WorkerPool
from whence_service.quotas.quotas import Quotas
from whence_service.rpc.admission import Admission
from whence_service.rpc.audit import Digests, current_notes
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.identity import current_identity
from whence_service.rpc.records import Observer
from whence_service.rpc.stages import Stopwatch
from whence_service.rpc.tracing import current_trace

SERVICE: Final = "whence.v1.AttributionService"
# A worker's answer may take this share of the message limit; a client's answer has to hold several of them.
_BUDGET_SHARE: Final = 4
_FLOAT64_BYTES: Final = 8

_Context = grpc.aio.ServicerContext[Any, Any]
AnswerMessage = TypeVar("AnswerMessage", bound=Message)
Options = TypeVar("Options")


class AttributionServicer(attribution_service_pb2_grpc.AttributionServiceServicer):
    """Serves the public service from the workers of a pool. Its only state is the attributor's."""

    def __init__(
        self, settings: FrontEndSettings, pool: WorkerPool, quotas: Quotas, admission: Admission, observe: Observer
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._quotas = quotas
        self._admission = admission
        self._observe = observe
        self._limits = limits_of(settings)
        self._attributor = Attributor()

    async def Attribute(  # noqa: N802 - the protocol's name
        self, request: messages.AttributeRequest, call: _Context
    ) -> messages.AttributeResponse:
        """Answer with the most influential sequences of one query."""
        async with self._admit(call, check_attribute(request, self._limits)) as turn:
            return self._fitting(_single(await turn.answer(self._attributor.attribute)))

    async def StreamAttribute(  # noqa: N802 - the protocol's name
        self, request: messages.StreamAttributeRequest, call: _Context
    ) -> AsyncIterator[messages.StreamAttributeResponse]:
        """Answer as Attribute does, after rankings of what was scanned so far."""
        async with (
            self._admit(call, check_attribute(request, self._limits)) as turn,
            aclosing(turn.stream(self._attributor.stream)) as events,
        ):
            async for event in events:
                if isinstance(event, Answer):
                    turn.report(event.metadata.sequences_scored)
                    yield self._fitting(messages.StreamAttributeResponse(result=_single(event)))
                else:
                    turn.report(event.sequences_scored)
                    yield messages.StreamAttributeResponse(partial=event)

    async def BatchAttribute(  # noqa: N802 - the protocol's name
        self, request: messages.BatchAttributeRequest, call: _Context
    ) -> messages.BatchAttributeResponse:
        """Answer with the most influential sequences of many queries, after one pass over the corpus."""
        async with self._admit(call, check_attribute(request, self._limits)) as turn:
            answer = await turn.answer(self._attributor.attribute)
            return self._fitting(
                messages.BatchAttributeResponse(attributions=answer.attributions, metadata=answer.metadata)
            )

    async def Score(  # noqa: N802 - the protocol's name
        self, request: messages.ScoreRequest, call: _Context
    ) -> messages.ScoreResponse:
        """Answer with the influence of given sequences on given queries."""
        async with self._admit(call, check_score(request, self._limits)) as turn:
            return self._fitting(await turn.answer(functools.partial(self._score, request)))

    async def Explain(  # noqa: N802 - the protocol's name
        self, request: messages.ExplainRequest, call: _Context
    ) -> messages.ExplainResponse:
        """Answer with one sequence's influence on one query, split over layers and tokens."""
        async with self._admit(call, check_explain(request)) as turn:
            return self._fitting(await turn.answer(explain))

    async def SelfInfluence(  # noqa: N802 - the protocol's name
        self, request: messages.SelfInfluenceRequest, call: _Context
    ) -> messages.SelfInfluenceResponse:
        """Answer with the sequences that influence themselves most, of the corpus or of the given ones."""
        async with self._admit(call, check_self_influence(request, self._limits)) as turn:
            named = turn.request.options.sequences
            work = self_influence_of_sequences if named else self_influence_of_corpus
            return self._fitting(await turn.answer(work))

    async def GroupInfluence(  # noqa: N802 - the protocol's name
        self, request: messages.GroupInfluenceRequest, call: _Context
    ) -> messages.GroupInfluenceResponse:
        """Answer with the share of an output's log-likelihood that each group of sequences contributes."""
        async with self._admit(call, check_group_influence(request, self._limits)) as turn:
            return self._fitting(await turn.answer(group_influence))

    async def TextOverlap(  # noqa: N802 - the protocol's name
        self, request: messages.TextOverlapRequest, call: _Context
    ) -> messages.TextOverlapResponse:
        """Answer with the sequences that have the most n-grams of given queries."""
        async with self._admit(call, check_text_overlap(request, self._limits)) as turn:
            return self._fitting(await turn.answer(text_overlap))

    async def ListModels(  # noqa: N802 - the protocol's name
        self, request: messages.ListModelsRequest, call: _Context
    ) -> messages.ListModelsResponse:
        """Answer with one page of the known models, by name."""
        return list_models(self._pool.visible, self._limits, request.page_size, request.page_token)

    async def GetModel(  # noqa: N802 - the protocol's name
        self, request: messages.GetModelRequest, call: _Context
    ) -> messages.GetModelResponse:
        """Answer with one known model, whether or not all of its shards are reachable."""
        generation = self._pool.visible.find(request.name)
        note_generation(generation)
        return messages.GetModelResponse(model=describe_model(generation, self._limits))

    @asynccontextmanager
    async def _admit(self, call: _Context, request: CheckedRequest[Options]) -> AsyncIterator[Turn[Options]]:
        """Charge the tenant, and wait for the request's turn within the call's deadline."""
        deadline = Deadline.of(call, default_s=self._settings.default_deadline_s, max_s=self._settings.max_deadline_s)
        check_texts(request, current_identity())
        # A request that no generation can answer is refused before it waits.
        generation = self._pool.visible.choose(request.model, partial=request.partial)
        note_generation(generation)
        check_model_limits(request, generation)
        watch = Stopwatch(self._observe, current_trace())
        started = time.perf_counter()
        async with (
            self._quotas.charged(lambda: cost_of(request, generation)) as charge,
            self._admission.slot(deadline),
        ):
            charge.begin()
            # Admission traces waits, those that end otherwise included.
            watch.count("queue", time.perf_counter() - started)
            yield Turn(
                request=request,
                pool=self._pool,
                deadline=deadline,
                watch=watch,
                observe=self._observe,
                answer_bytes=self._settings.max_message_bytes // _BUDGET_SHARE,
                report=charge.report,
            )

    async def _score(
        self, request: messages.ScoreRequest, context: RequestContext[ScoreOptions]
    ) -> messages.ScoreResponse:
        self._check_answer_size(request, context.generation)
        return await score(context)

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


def note_generation(generation: Generation) -> None:
    """Note for the audit log which artefacts a call is answered from."""
    if (notes := current_notes()) is not None:
        notes.chosen(Digests(**dataclasses.asdict(generation.id)))


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
