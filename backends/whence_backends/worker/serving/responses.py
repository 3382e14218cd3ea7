"""The worker's answers as messages: pure, from what its parts found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.reasons import WarningCode
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.contract import QueryGradient
from whence_backends.index.refine import Refined
from whence_backends.index.search import Float32Array
from whence_backends.topk import Order, Ranked, TopK
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.model.model_server import ServedModel
from whence_backends.worker.requests import wire
from whence_backends.worker.requests.sequences import ResolvedSequence
from whence_backends.worker.requests.tokenization import PreparedTokens
from whence_backends.worker.scoring.rescore_batches import Rescored
from whence_backends.worker.scoring.scan import ScanProgress
from whence_backends.worker.searching.gradient_index import Estimates, IndexAnswer
from whence_backends.worker.searching.groups import GroupSums
from whence_backends.worker.searching.token_search import TokenCounts

# Above this, an answer says that its queries' stored gradients lost something to truncation.
_NOTABLE_TRUNCATION: Final = 0.01


def prepared_query(
    query: PreparedTokens, named: NamedGradient, sketch: Float32Array | None
) -> worker_service_pb2.PreparedQuery:
    """Return what is known of a query whose gradient was computed."""
    return worker_service_pb2.PreparedQuery(
        query_key=named.key,
        log_likelihood=named.gradient.log_likelihood,
        completion_tokens=query.completion_tokens,
        truncation_error=named.gradient.truncation_error,
        sketch=None if sketch is None else wire.tensor(sketch),
    )


def scored_sequence(sequence: ResolvedSequence, *, with_offsets: bool) -> worker_service_pb2.ScoredSequence:
    """Return a sequence without its influences."""
    return worker_service_pb2.ScoredSequence(index=sequence.index, sequence=sequence.message(with_offsets=with_offsets))


def scan_response(progress: ScanProgress, served: ServedModel, queries: int) -> worker_service_pb2.ScanResponse:
    """Return how far a scan is."""

    def candidates(order: Order, query: int) -> list[worker_service_pb2.Candidate]:
        top: TopK | None = progress.best.get(order)
        return [] if top is None else [candidate(ranked, served) for ranked in top.ranked(query)]

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


def candidate(ranked: Ranked, served: ServedModel) -> worker_service_pb2.Candidate:
    """Return one sequence of a ranking."""
    return worker_service_pb2.Candidate(
        shard=served.shard_of(ranked.position), position=ranked.position, raw_influence=ranked.influence
    )


def search_response(answer: IndexAnswer) -> worker_service_pb2.SearchResponse:
    """Return what the index found."""

    def messages(order: Order) -> list[worker_service_pb2.Estimates]:
        return [_estimates(found) for found in answer.by_order.get(order, ())]

    return worker_service_pb2.SearchResponse(
        positive=messages(Order.HIGHEST),
        negative=messages(Order.LOWEST),
        sequences_searched=answer.searched,
    )


def counts_response(counts: Sequence[TokenCounts], sequences: int) -> worker_service_pb2.CountTokensResponse:
    """Return what queries consist of."""
    return worker_service_pb2.CountTokensResponse(
        queries=[
            worker_service_pb2.TokenCounts(
                tokens=each.tokens.tolist(), counts=each.counts.tolist(), sequences=each.sequences.tolist()
            )
            for each in counts
        ],
        sequences_searched=sequences,
    )


def matches_response(
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]], searched: int
) -> worker_service_pb2.MatchTokensResponse:
    """Return the sequences that share tokens with queries."""
    return worker_service_pb2.MatchTokensResponse(
        queries=[
            worker_service_pb2.Matches(positions=wire.tensor(positions), scores=wire.tensor(scores))
            for positions, scores in found
        ],
        sequences_searched=searched,
    )


def groups_response(sums: GroupSums) -> worker_service_pb2.EstimateGroupsResponse:
    """Return what the index says of groups, and what was drawn."""
    columns = zip(sums.sequences, sums.estimate, sums.scale, sums.squared_scale, strict=True)
    *groups, total = (
        worker_service_pb2.EstimatedGroup(
            name=name, sequences=sequences, estimate=estimate, scale=scale, squared_scale=squared_scale
        )
        for name, (sequences, estimate, scale, squared_scale) in zip((*sums.names, ""), columns, strict=True)
    )
    drawn = zip(sums.drawn, sums.drawn_groups, sums.drawn_estimate, sums.drawn_scale, sums.priority, strict=True)
    return worker_service_pb2.EstimateGroupsResponse(
        groups=groups,
        total=total,
        drawn=[
            worker_service_pb2.DrawnSequence(
                position=position, groups=groups, estimate=estimate, scale=scale, priority=priority
            )
            for position, groups, estimate, scale, priority in drawn
        ],
        sequences_searched=total.sequences,
    )


def rescore_response(rescored: Rescored) -> worker_service_pb2.RescoreResponse:
    """Return influences that were just computed."""
    return worker_service_pb2.RescoreResponse(
        positions=rescored.positions.tolist(),
        raw_influence=wire.tensor(rescored.influence),
        truncation_errors=rescored.truncation_errors,
    )


def refine_response(refined: Refined) -> worker_service_pb2.RefineSketchResponse:
    """Return a corrected sketch."""
    return worker_service_pb2.RefineSketchResponse(
        sketch=wire.tensor(refined.sketch),
        estimates=wire.tensor(refined.estimates),
        errors=wire.tensor(refined.errors),
    )


def _estimates(found: Estimates) -> worker_service_pb2.Estimates:
    return worker_service_pb2.Estimates(
        positions=wire.tensor(found.positions),
        estimates=wire.tensor(found.estimates),
        errors=wire.tensor(found.errors),
    )


def chat_warnings(parts: Sequence[PreparedTokens] | Sequence[ResolvedSequence]) -> list[attribution_pb2.Warning]:
    """Return what to say of conversations that the chat template does not show whole."""
    return [warning for part in parts for warning in part.warnings]


def truncation_warnings(gradients: Sequence[QueryGradient]) -> list[attribution_pb2.Warning]:
    """Return what to say of gradients that were truncated."""
    worst = max((gradient.truncation_error for gradient in gradients), default=0.0)
    if worst <= _NOTABLE_TRUNCATION:
        return []
    return [
        attribution_pb2.Warning(
            code=WarningCode.QUERY_GRADIENT_TRUNCATED,
            message=f"the stored gradient of a query differs from the whole one by {worst:.1%} (Frobenius "
            "norm); raise the worker's query_rank for more exact influences",
        )
    ]
