"""The influence of given sequences on given queries: locate each sequence, then score it on a worker that holds it.

Locating first costs a short call. In return, an unknown id fails before anything is computed, and no sequence is scored
twice if several workers hold its shard. If a single worker holds everything, one call suffices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from whence import tensors
from whence.errors import NotFoundError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2, tensor_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.request.checked import ScoreOptions, SelfInfluenceOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.request.fields import fields_of_caller
from whence_service.frontend.responses import linear_range
from whence_service.frontend.responses.hit_details import Detail, check_whole, sequences_per_call
from whence_service.frontend.responses.metadata import build_metadata
from whence_service.frontend.responses.units import InfluenceScale
from whence_service.frontend.search.preparation import distinct, prepare
from whence_service.frontend.workers.tasks import run_all
from whence_service.rpc.canonical import canonical_bytes

Selector = attribution_service_pb2.SequenceSelector
Reference = worker_service_pb2.SequenceReference
_Sequences: TypeAlias = RequestContext[ScoreOptions] | RequestContext[SelfInfluenceOptions]


@dataclass(frozen=True, kw_only=True)
class ScoreCall:
    """One ScoreSequences call: the numbers of the request's sequences that one worker scores."""

    worker: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The scored sequences of a request, in its order."""

    sequences: tuple[worker_service_pb2.ScoredSequence, ...]
    log_likelihoods: tuple[float, ...]  # one for each query
    warnings: tuple[attribution_pb2.Warning, ...]


async def score(context: RequestContext[ScoreOptions]) -> attribution_service_pb2.ScoreResponse:
    """Return the influence of every sequence on every query.

    Raises :class:`~whence.errors.NotFoundError` (``SEQUENCE_NOT_FOUND``) for an id that no shard has.
    """
    layers = context.options.include_layers
    detail = worker_service_pb2.DETAIL_LAYERS if layers else worker_service_pb2.DETAIL_TOTAL
    return build_score(context, await _score_all(context, detail))


async def explain(context: RequestContext[ScoreOptions]) -> attribution_service_pb2.ExplainResponse:
    """Return one sequence's influence on the query, by layer and token; raises as :func:`score`."""
    return build_explanation(context, await _score_all(context, worker_service_pb2.DETAIL_LAYERS_TOKENS))


async def score_on_themselves(context: RequestContext[SelfInfluenceOptions]) -> Scored:
    """Return each sequence with its influence on itself, [1]; raises as :func:`score`."""
    return await _score_all(context, worker_service_pb2.DETAIL_TOTAL)


async def _score_all(context: _Sequences, detail: Detail) -> Scored:
    return await context.workers.surviving(lambda: _score_once(context, detail))


async def _score_once(context: _Sequences, detail: Detail) -> Scored:
    chunk = sequences_per_call(
        context.generation.model, detail, max(1, len(context.request.queries)), context.answer_bytes
    )
    owners, warnings = await _plan(context, chunk)
    by_worker: dict[str, list[ScoreCall]] = {}
    for call in plan_scores(owners, chunk):
        by_worker.setdefault(call.worker, []).append(call)
    with context.watch.stage("score_sequences"):
        groups = await run_all(_score_in_turn(context, calls, detail) for calls in by_worker.values())
    answers = [answered for group in groups for answered in group]
    scored_by_number = {
        number: scored
        for call, answer in answers
        for number, scored in zip(call.numbers, answer.sequences, strict=True)
    }
    return Scored(
        sequences=tuple(scored_by_number[number] for number in range(len(context.options.sequences))),
        log_likelihoods=tuple(tensors.unpack(answers[0][1].log_likelihood)),
        warnings=distinct((*warnings, *(warning for _, answer in answers for warning in answer.warnings))),
    )


async def _plan(context: _Sequences, chunk: int) -> tuple[tuple[str, ...], tuple[attribution_pb2.Warning, ...]]:
    """Return the worker that scores each sequence, and the warnings of preparing the queries."""
    groups, count = context.replicas.groups(), len(context.options.sequences)
    if len(groups) == 1 and count <= chunk:
        # One call suffices: its worker looks up every sequence before it computes anything, and no other worker
        # needs the queries' gradients.
        return (groups[0].worker,) * count, ()
    owners = await _locate(context)
    return owners, (await prepare(context)).warnings if context.request.queries else ()


async def _locate(context: _Sequences) -> tuple[str, ...]:
    selectors = context.options.sequences
    numbers = [number for number, selector in enumerate(selectors) if selector.WhichOneof("selector") == "sequence_id"]
    holders: dict[int, list[str]] = {number: [] for number in numbers}
    if numbers:
        workers = [group.worker for group in context.replicas.groups()]
        with context.watch.stage("locate"):
            answers = await run_all(_look_up(context, worker, numbers) for worker in workers)
        for worker, answer in zip(workers, answers, strict=True):
            for scored in answer.sequences:
                holders[numbers[scored.index]].append(worker)
    key = canonical_bytes(context.request.queries[0]) if context.request.queries else b""
    text_worker = context.replicas.preparer(0, key) if context.request.queries else context.replicas.groups()[0].worker
    return choose_owners(selectors, holders, text_worker=text_worker)


async def _look_up(
    context: _Sequences, worker: str, numbers: Sequence[int]
) -> worker_service_pb2.ScoreSequencesResponse:
    request = worker_service_pb2.ScoreSequencesRequest(
        sequences=[to_reference(context.options.sequences[number]) for number in numbers],
        detail=worker_service_pb2.DETAIL_TOTAL,
        skip_unknown=True,
        lookup_only=True,
    )
    return await context.workers.ask(worker, lambda stub: stub.ScoreSequences, request)


async def _score_in_turn(
    context: _Sequences,
    calls: Sequence[ScoreCall],
    detail: Detail,
) -> list[tuple[ScoreCall, worker_service_pb2.ScoreSequencesResponse]]:
    answers = []
    for call in calls:
        request = worker_service_pb2.ScoreSequencesRequest(
            queries=context.request.queries,
            sequences=[to_reference(context.options.sequences[number]) for number in call.numbers],
            preconditioning=context.preconditioning,
            detail=detail,
            on_themselves=not context.request.queries,
        )
        places = [context.options.fields[number] for number in call.numbers]
        with fields_of_caller("sequences", places), fields_of_caller("queries", context.request.query_fields):
            answer = await context.workers.ask(call.worker, lambda stub: stub.ScoreSequences, request)
        answers.append((call, check_whole(answer, len(call.numbers), call.worker)))
    return answers


def to_reference(selector: Selector) -> Reference:
    """Return a selector as a worker's message."""
    match selector.WhichOneof("selector"):
        case "text":
            return Reference(text=selector.text)
        case "completion":
            return Reference(completion=selector.completion)
        case "chat":
            return Reference(chat=selector.chat)
    return Reference(sequence_id=selector.sequence_id)


def choose_owners(
    selectors: Sequence[Selector], holders: Mapping[int, Sequence[str]], *, text_worker: str
) -> tuple[str, ...]:
    """Return the worker that scores each sequence: of those that hold it, the one with the fewest so far.

    ``holders`` has every sequence given by id; raw texts go to ``text_worker``. Raises
    :class:`~whence.errors.NotFoundError` (``SEQUENCE_NOT_FOUND``) if no worker holds a sequence.
    """
    load: dict[str, int] = {}
    owners = []
    for number, selector in enumerate(selectors):
        able = holders.get(number, [text_worker])
        if not able:
            raise _not_found(selector.sequence_id)
        owner = min(able, key=lambda worker: (load.get(worker, 0), worker))
        load[owner] = load.get(owner, 0) + 1
        owners.append(owner)
    return tuple(owners)


def plan_scores(owners: Sequence[str], chunk: int) -> tuple[ScoreCall, ...]:
    """Return the calls that score every sequence once, each of at most ``chunk`` sequences."""
    by_worker: dict[str, list[int]] = {}
    for number, worker in enumerate(owners):
        by_worker.setdefault(worker, []).append(number)
    return tuple(
        ScoreCall(worker=worker, numbers=tuple(numbers[start : start + chunk]))
        for worker, numbers in sorted(by_worker.items())
        for start in range(0, len(numbers), chunk)
    )


def build_score(context: RequestContext[ScoreOptions], scored: Scored) -> attribution_service_pb2.ScoreResponse:
    """Return the response of Score: [queries, sequences] and, where asked, [queries, sequences, layers]."""
    scale, queries, sequences = (
        InfluenceScale.of(context.generation),
        len(context.request.queries),
        len(scored.sequences),
    )
    parts = [_by_query(sequence.raw_influence, queries) for sequence in scored.sequences]
    cells = [part[query] for query in range(queries) for part in parts]  # [queries · sequences][layers, or 1]
    raw = [math.fsum(cell) for cell in cells]
    pairs = ((scale.influence(value), scored.log_likelihoods[number // sequences]) for number, value in enumerate(raw))
    response = attribution_service_pb2.ScoreResponse(
        influence=scale.tensor(raw, [queries, sequences]),
        sequences=[_without_offsets(sequence.sequence) for sequence in scored.sequences],
        log_likelihood=tensors.pack(scored.log_likelihoods, [queries]),
        metadata=build_metadata(
            context,
            warnings=(*scored.warnings, *linear_range.of_influences(context, pairs)),
            sequences_scored=sequences,
            with_layers=context.options.include_layers,
        ),
    )
    if context.options.include_layers:
        values = [value for cell in cells for value in cell]
        response.layer_influence.CopyFrom(scale.tensor(values, [queries, sequences, len(cells[0])]))
    return response


def build_explanation(context: _Sequences, scored: Scored) -> attribution_service_pb2.ExplainResponse:
    """Return the response of Explain: the parts, float64 [layers, tokens], and their sum."""
    (sequence,) = scored.sequences
    scale = InfluenceScale.of(context.generation)
    values = tensors.unpack(sequence.raw_influence)
    influence = scale.influence(math.fsum(values))
    outside = linear_range.of_influences(context, [(influence, scored.log_likelihoods[0])])
    return attribution_service_pb2.ExplainResponse(
        sequence=sequence.sequence,
        influence=influence,
        parts=scale.tensor(values, sequence.raw_influence.shape[1:]),
        log_likelihood=scored.log_likelihoods[0],
        metadata=build_metadata(context, warnings=(*scored.warnings, *outside), sequences_scored=1, with_layers=True),
    )


def _without_offsets(sequence: attribution_pb2.TrainingSequence) -> attribution_pb2.TrainingSequence:
    sequence.ClearField("token_offsets")
    return sequence


def _by_query(tensor: tensor_pb2.Tensor, queries: int) -> list[list[float]]:
    values = tensors.unpack(tensor)
    width = len(values) // queries
    return [values[start : start + width] for start in range(0, len(values), width)]


def _not_found(sequence_id: str) -> NotFoundError:
    return NotFoundError(
        f"no shard of this model's corpus has the sequence {sequence_id!r}; take ids from an attribution's hits",
        reason=Reason.SEQUENCE_NOT_FOUND,
        sequence_id=sequence_id,
    )
