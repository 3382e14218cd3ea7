"""The last hop: texts of the hits, and the layers and tokens that their influence comes from.

:func:`plan_details` plans the calls to each worker, pure, so that answers stay well under the message limit. Each
worker gets its calls one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from whence import tensors
from whence.errors import InternalError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, model_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.rankings import Ranking
from whence_service.frontend.workers.replicas import Replicas
from whence_service.frontend.workers.tasks import run_all

Detail: TypeAlias = worker_service_pb2.Detail.ValueType

# Sequences looked up in one call: their texts are a few kilobytes each.
LOOKUP_CHUNK: Final = 256
# What a sequence is taken to have at most where the model does not say.
_USUAL_MAX_TOKENS: Final = 4096
_FLOAT64_BYTES: Final = 8


@dataclass(frozen=True, kw_only=True)
class DetailCall:
    """One ScoreSequences call: positions to look up, or to score for the query of that number."""

    worker: str
    positions: tuple[int, ...]
    query: int | None = None


@dataclass(frozen=True, kw_only=True)
class HitDetails:
    """A hit's sequence, and parts of its raw influence, float [layers] and [tokens], where asked for.

    ``raw_influence`` is what the parts add up to; ``None`` where none were asked for.
    """

    sequence: attribution_pb2.TrainingSequence
    raw_influence: float | None = None
    layers: tuple[float, ...] = ()
    tokens: tuple[float, ...] = ()


def detail_for(*, layers: bool, tokens: bool) -> Detail:
    """Return the detail to which workers split influences for an answer with these parts."""
    if tokens:
        return worker_service_pb2.DETAIL_LAYERS_TOKENS
    return worker_service_pb2.DETAIL_LAYERS if layers else worker_service_pb2.DETAIL_TOTAL


def sequences_per_call(model: model_pb2.Model, detail: Detail, queries: int, budget_bytes: int) -> int:
    """Return the number of sequences whose influences fit in an answer of ``budget_bytes``; at least 1."""
    values = queries
    if detail != worker_service_pb2.DETAIL_TOTAL:
        values *= max(1, len(model.layers))
    if detail == worker_service_pb2.DETAIL_LAYERS_TOKENS:
        values *= model.limits.max_query_tokens or _USUAL_MAX_TOKENS
    return max(1, min(LOOKUP_CHUNK, budget_bytes // (_FLOAT64_BYTES * values)))


def plan_details(replicas: Replicas, rankings: Sequence[Ranking], detail: Detail, chunk: int) -> tuple[DetailCall, ...]:
    """Return the calls that describe every hit, each query's by itself.

    Where ``detail`` is ``DETAIL_TOTAL`` the influences are known already: each hit is looked up once for all
    queries.
    """
    if detail == worker_service_pb2.DETAIL_TOTAL:
        return tuple(_calls(replicas, rankings, None, chunk))
    return tuple(call for number, ranking in enumerate(rankings) for call in _calls(replicas, [ranking], number, chunk))


def _calls(replicas: Replicas, rankings: Iterable[Ranking], query: int | None, chunk: int) -> Iterable[DetailCall]:
    owners: dict[str, dict[int, None]] = {}
    for ranking in rankings:
        for candidate in (*ranking.positive, *ranking.negative):
            owners.setdefault(replicas.owner(candidate.shard), {})[candidate.position] = None
    for worker in sorted(owners):
        positions = tuple(owners[worker])
        for start in range(0, len(positions), chunk):
            yield DetailCall(worker=worker, positions=positions[start : start + chunk], query=query)


async def fetch_details(
    context: RequestContext[object],
    rankings: Sequence[Ranking],
    *,
    layers: bool,
    tokens: bool,
) -> tuple[Mapping[int, HitDetails], ...]:
    """Return the details of each query's hits by position."""
    detail = detail_for(layers=layers, tokens=tokens)

    async def work() -> tuple[Mapping[int, HitDetails], ...]:
        return await _fetch_details(context, rankings, detail, layers=layers, tokens=tokens)

    return await context.workers.surviving(work)


async def _fetch_details(
    context: RequestContext[object],
    rankings: Sequence[Ranking],
    detail: Detail,
    *,
    layers: bool,
    tokens: bool,
) -> tuple[Mapping[int, HitDetails], ...]:
    chunk = sequences_per_call(context.generation.model, detail, 1, context.answer_bytes)
    calls = plan_details(context.replicas, rankings, detail, chunk)
    by_worker: dict[str, list[DetailCall]] = {}
    for call in calls:
        by_worker.setdefault(call.worker, []).append(call)
    described: tuple[dict[int, HitDetails], ...] = tuple({} for _ in rankings)
    with context.watch.stage("describe"):
        for answers in await run_all(_ask_in_turn(context, calls, detail) for calls in by_worker.values()):
            for call, answer in answers:
                _collect(described, call, answer, layers=layers, tokens=tokens)
    return described


async def _ask_in_turn(
    context: RequestContext[object], calls: Sequence[DetailCall], detail: Detail
) -> list[tuple[DetailCall, worker_service_pb2.ScoreSequencesResponse]]:
    answers = []
    for call in calls:
        request = worker_service_pb2.ScoreSequencesRequest(
            queries=[] if call.query is None else [context.request.queries[call.query]],
            sequences=[worker_service_pb2.SequenceReference(position=position) for position in call.positions],
            preconditioning=context.preconditioning,
            detail=detail,
            lookup_only=call.query is None,
        )
        answer = await context.workers.ask(call.worker, lambda stub: stub.ScoreSequences, request)
        answers.append((call, check_whole(answer, len(call.positions), call.worker)))
    return answers


def check_whole(
    answer: worker_service_pb2.ScoreSequencesResponse, count: int, worker: str
) -> worker_service_pb2.ScoreSequencesResponse:
    """Return the answer, or raise :class:`~whence.errors.InternalError` where it lacks a sequence."""
    if [scored.index for scored in answer.sequences] != list(range(count)):
        raise InternalError(
            f"the worker {worker} answered for {len(answer.sequences)} of {count} sequences",
            reason=Reason.ANSWER_INCOMPLETE,
            worker=worker,
        )
    return answer


def _collect(
    described: Sequence[dict[int, HitDetails]],
    call: DetailCall,
    answer: worker_service_pb2.ScoreSequencesResponse,
    *,
    layers: bool,
    tokens: bool,
) -> None:
    for position, scored in zip(call.positions, answer.sequences, strict=True):
        if not tokens:
            scored.sequence.ClearField("token_offsets")
        if call.query is None:
            for details in described:
                details[position] = HitDetails(sequence=scored.sequence)
            continue
        parts = scored.raw_influence
        described[call.query][position] = HitDetails(
            sequence=scored.sequence,
            raw_influence=math.fsum(tensors.unpack(parts)),
            layers=sum_by_layer(parts) if layers else (),
            tokens=sum_by_token(parts) if tokens else (),
        )


def sum_by_layer(parts: tensor_pb2.Tensor) -> tuple[float, ...]:
    """Return [layers] of one query's parts, [1, layers] or [1, layers, tokens]."""
    values, (layers, tokens) = _layers_tokens(parts)
    return tuple(math.fsum(values[layer * tokens : (layer + 1) * tokens]) for layer in range(layers))


def sum_by_token(parts: tensor_pb2.Tensor) -> tuple[float, ...]:
    """Return [tokens] of one query's parts, [1, layers, tokens]."""
    values, (_, tokens) = _layers_tokens(parts)
    return tuple(math.fsum(values[token::tokens]) for token in range(tokens))


def _layers_tokens(parts: tensor_pb2.Tensor) -> tuple[list[float], tuple[int, int]]:
    _, layers, *rest = parts.shape
    return tensors.unpack(parts), (layers, rest[0] if rest else 1)
