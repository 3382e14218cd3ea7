"""The call ScoreSequences: sequences are looked up, and scored on queries or on themselves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.worker.v1 import worker_service_pb2 as pb
from whence_backends.contract import Detail, Float64Array, QueryGradient
from whence_backends.worker.requests import wire
from whence_backends.worker.requests.options import detail_of
from whence_backends.worker.requests.sequences import ResolvedSequence
from whence_backends.worker.scoring.self_influence import SelfInfluence
from whence_backends.worker.serving.frame import Call
from whence_backends.worker.serving.responses import chat_warnings, scored_sequence, truncation_warnings


async def score_sequences(request: pb.ScoreSequencesRequest, call: Call) -> pb.ScoreSequencesResponse:
    """Return the sequences, in the order of the request, with their influences unless they are only looked up."""
    detail = detail_of(request.detail)
    # Looking up sequences for an answer does not wait behind calls that compute.
    async with nullcontext() if request.lookup_only else call.slot():
        with call.stage("lookup"):
            resolved = await call.model.resolver.resolve(request.sequences, skip_unknown=request.skip_unknown)
        with_offsets = detail is Detail.LAYERS_TOKENS
        messages = [scored_sequence(sequence, with_offsets=with_offsets) for sequence in resolved]
        response = pb.ScoreSequencesResponse(sequences=messages, warnings=chat_warnings(resolved))
        if request.on_themselves and not request.lookup_only:
            await _score_on_themselves(request, response, resolved, call)
        elif not request.lookup_only:
            await _score_on_queries(request, response, resolved, detail, call)
    return response


async def _score_on_queries(
    request: pb.ScoreSequencesRequest,
    response: pb.ScoreSequencesResponse,
    resolved: Sequence[ResolvedSequence],
    detail: Detail,
    call: Call,
) -> None:
    preconditioning = call.model.preconditioning(request.preconditioning)
    prepared = await call.model.prepare(request.queries, call.context, rank=preconditioning.rank)
    queries = await call.model.precondition(prepared, preconditioning, call.context)
    tokens = [sequence.record.tokens for sequence in resolved]
    influences = await call.model.sequences.score(queries, tokens, detail, call.context)
    response.warnings.extend(chat_warnings(prepared.tokenized))
    _fill(response, influences, [named.gradient for named in prepared.gradients])


async def _score_on_themselves(
    request: pb.ScoreSequencesRequest,
    response: pb.ScoreSequencesResponse,
    resolved: Sequence[ResolvedSequence],
    call: Call,
) -> None:
    """Score one sequence after the other: each is a query of its own."""
    if request.queries:
        raise InvalidRequestError(
            f"{len(request.queries)} queries beside on_themselves; send none: each sequence is its own query",
            reason=Reason.UNEXPECTED_QUERIES,
            field="queries",
        )
    damping_factor = call.model.preconditioning(request.preconditioning).damping_factor
    scores: list[SelfInfluence] = []
    for sequence in resolved:
        call.context.require_time(f"after {len(scores)} of {len(resolved)} sequences were scored")
        tokens, stopwatch = sequence.record.tokens, call.context.stopwatch
        scores.append(await call.model.self_influence.score(tokens, sequence.index, damping_factor, stopwatch))
    _fill(response, [score.influence for score in scores], [score.gradient for score in scores])


def _fill(
    response: pb.ScoreSequencesResponse, influences: Sequence[Float64Array], gradients: Sequence[QueryGradient]
) -> None:
    for message, influence in zip(response.sequences, influences, strict=True):
        message.raw_influence.CopyFrom(wire.tensor(influence))
    log_likelihoods = np.array([gradient.log_likelihood for gradient in gradients])
    response.log_likelihood.CopyFrom(wire.tensor(log_likelihoods))
    response.warnings.extend(truncation_warnings(gradients))
