"""The worker's responses, from the results of its parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.reasons import WarningCode
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2 as pb
from whence_backends.contract import QueryGradient
from whence_backends.index.refine import Refined
from whence_backends.index.search import Float32Array
from whence_backends.topk import Order, Ranked, TopK
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.model.model_server import ModelServer, PreparedQueries
from whence_backends.worker.requests import wire
from whence_backends.worker.requests.sequences import ResolvedSequence
from whence_backends.worker.requests.tokenization import TokenizedQuery
from whence_backends.worker.scoring.influence_counts import BinCounts
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries
from whence_backends.worker.scoring.rescore_batches import Rescored
from whence_backends.worker.scoring.scan import ScanProgress
from whence_backends.worker.searching.draws import Drawn
from whence_backends.worker.searching.gradient_index import Estimates, IndexEstimates
from whence_backends.worker.searching.group_sums import GroupSums
from whence_backends.worker.searching.token_overlap import PlacedOverlap
from whence_backends.worker.searching.token_search import TokenCounts

# Truncation errors above this one are worth a warning.
_NOTABLE_TRUNCATION: Final = 0.01


def info_response(model: ModelServer) -> pb.GetInfoResponse:
    """Describe a model, and the shards of its corpus that are held."""
    corpus = model.loaded.corpus
    return pb.GetInfoResponse(
        model=model.description,
        shards=[
            pb.CorpusShard(shard=shard.name, sequences=shard.sequences, first_position=shard.first_position)
            for shard in corpus.shards
        ],
        corpus_shards=[shard.name for shard in corpus.all_shards],
    )


def prepare_response(queries: PreparedQueries, sketches: Sequence[Float32Array | None]) -> pb.PrepareQueriesResponse:
    """Describe queries whose gradients are known."""
    parts = zip(queries.tokenized, queries.gradients, sketches, strict=True)
    return pb.PrepareQueriesResponse(
        queries=[_prepared_query(*part) for part in parts],
        warnings=[
            *chat_warnings(queries.tokenized),
            *truncation_warnings([named.gradient for named in queries.gradients]),
        ],
    )


def _prepared_query(query: TokenizedQuery, named: NamedGradient, sketch: Float32Array | None) -> pb.PreparedQuery:
    return pb.PreparedQuery(
        query_key=named.key,
        log_likelihood=named.gradient.log_likelihood,
        completion_tokens=query.completion_tokens,
        truncation_error=named.gradient.truncation_error,
        sketch=None if sketch is None else wire.tensor(sketch),
    )


def scored_sequence(sequence: ResolvedSequence, *, with_offsets: bool) -> pb.ScoredSequence:
    """Describe a sequence, without its influences."""
    return pb.ScoredSequence(index=sequence.index, sequence=sequence.message(with_offsets=with_offsets))


def scan_response(
    progress: ScanProgress, model: ModelServer, queries: PreconditionedQueries, *, described: bool
) -> pb.ScanResponse:
    """Report the progress of a scan, with the best sequences so far.

    Sequences that are to be ``described`` are looked up in files: call it off the event loop then.
    """

    def candidates(order: Order, query: int) -> list[pb.Candidate]:
        top: TopK | None = progress.best.get(order)
        return [] if top is None else [_candidate(ranked, model, described=described) for ranked in top.ranked(query)]

    return pb.ScanResponse(
        sequences_scored=progress.sequences_scored,
        sequences_total=progress.sequences_total,
        candidates=[
            pb.Candidates(positive=candidates(Order.HIGHEST, query), negative=candidates(Order.LOWEST, query))
            for query in range(queries.queries)
        ],
        done=progress.done,
        truncation_errors=queries.truncation_errors if progress.done else (),
        distributions=map(_distribution, map(progress.counts.of, range(queries.queries))) if progress.done else (),
    )


def _distribution(counts: BinCounts) -> pb.InfluenceDistribution:
    return pb.InfluenceDistribution(bins=counts.bins.tolist(), sequences=counts.counts.tolist())


def self_influence_response(ranked: Sequence[Ranked], searched: int, model: ModelServer) -> pb.SelfInfluenceResponse:
    """Rank sequences by their influence on themselves."""
    return pb.SelfInfluenceResponse(
        sequences=[_candidate(sequence, model) for sequence in ranked], sequences_searched=searched
    )


def _candidate(ranked: Ranked, model: ModelServer, *, described: bool = False) -> pb.Candidate:
    return pb.Candidate(
        shard=model.shard_of(ranked.position),
        position=ranked.position,
        raw_influence=ranked.influence,
        sequence=_origin(ranked.position, model) if described else None,
    )


def _origin(position: int, model: ModelServer) -> attribution_pb2.TrainingSequence:
    origin = model.loaded.corpus.origin(position)
    return attribution_pb2.TrainingSequence(
        sequence_id=origin.sequence_id,
        document_id=origin.document_id,
        source=origin.source,
        token_count=origin.token_count,
    )


def search_response(result: IndexEstimates) -> pb.SearchResponse:
    """List the best rows of the index for each query."""

    def messages(order: Order) -> list[pb.Estimates]:
        return [_estimates(estimates) for estimates in result.by_order.get(order, ())]

    return pb.SearchResponse(
        positive=messages(Order.HIGHEST),
        negative=messages(Order.LOWEST),
        sequences_searched=result.searched,
    )


def counts_response(counts: Sequence[TokenCounts], sequences: int) -> pb.CountTokensResponse:
    """List the tokens of each query."""
    return pb.CountTokensResponse(
        queries=[
            pb.TokenCounts(
                tokens=query.tokens.tolist(), counts=query.counts.tolist(), sequences=query.sequences.tolist()
            )
            for query in counts
        ],
        sequences_searched=sequences,
    )


def matches_response(top: TopK, queries: int, searched: int) -> pb.MatchTokensResponse:
    """List the sequences that share tokens with each query, and their scores."""
    return pb.MatchTokensResponse(
        queries=[_matches(*top.arrays(query)) for query in range(queries)], sequences_searched=searched
    )


def _matches(positions: NDArray[np.int64], scores: NDArray[np.float64]) -> pb.Matches:
    sharing = scores > 0
    return pb.Matches(positions=wire.tensor(positions[sharing]), scores=wire.tensor(scores[sharing]))


def overlaps_response(overlaps: Sequence[PlacedOverlap], searched: int) -> pb.OverlapTokensResponse:
    """List the overlap of each query."""
    return pb.OverlapTokensResponse(
        queries=[
            pb.TokenOverlap(
                tokens=placed.overlap.tokens,
                ngram=placed.overlap.ngram,
                shared_ngrams=placed.overlap.shared_ngrams,
                longest_run=placed.overlap.longest_run,
                sequences=placed.overlap.sequences,
                position=placed.position,
            )
            for placed in overlaps
        ],
        sequences_searched=searched,
    )


def drawn_response(drawn: Drawn) -> pb.DrawSequencesResponse:
    """List the sequences drawn."""
    return pb.DrawSequencesResponse(
        positions=wire.tensor(drawn.positions),
        priorities=wire.tensor(drawn.priorities),
        sequences_searched=drawn.searched,
    )


def groups_response(sums: GroupSums) -> pb.EstimateGroupsResponse:
    """List the sums over groups, and the sample."""
    columns = zip(sums.sequences, sums.estimate, sums.scale, sums.squared_scale, strict=True)
    *groups, total = (
        pb.EstimatedGroup(name=name, sequences=sequences, estimate=estimate, scale=scale, squared_scale=squared_scale)
        for name, (sequences, estimate, scale, squared_scale) in zip((*sums.names, ""), columns, strict=True)
    )
    drawn = zip(sums.drawn, sums.drawn_groups, sums.drawn_estimate, sums.drawn_scale, sums.priority, strict=True)
    return pb.EstimateGroupsResponse(
        groups=groups,
        total=total,
        drawn=[
            pb.DrawnSequence(position=position, groups=groups, estimate=estimate, scale=scale, priority=priority)
            for position, groups, estimate, scale, priority in drawn
        ],
        sequences_searched=total.sequences,
    )


def rescore_response(rescored: Rescored, model: ModelServer, *, described: bool) -> pb.RescoreResponse:
    """List influences that were computed. As for :func:`scan_response`, off the event loop where ``described``."""
    positions = rescored.positions.tolist()
    return pb.RescoreResponse(
        positions=positions,
        raw_influence=wire.tensor(rescored.influence),
        truncation_errors=rescored.truncation_errors,
        sequences=[_origin(position, model) for position in positions] if described else (),
    )


def refine_response(refined: Refined) -> pb.RefineSketchResponse:
    """Return a corrected sketch."""
    return pb.RefineSketchResponse(
        sketch=wire.tensor(refined.sketch),
        estimates=wire.tensor(refined.estimates),
        errors=wire.tensor(refined.errors),
    )


def _estimates(best: Estimates) -> pb.Estimates:
    return pb.Estimates(
        positions=wire.tensor(best.positions),
        estimates=wire.tensor(best.estimates),
        errors=wire.tensor(best.errors),
    )


def chat_warnings(parts: Sequence[TokenizedQuery] | Sequence[ResolvedSequence]) -> list[attribution_pb2.Warning]:
    """Return the warnings of conversations that the chat template does not render in full."""
    return [warning for part in parts for warning in part.warnings]


def truncation_warnings(gradients: Sequence[QueryGradient]) -> list[attribution_pb2.Warning]:
    """Return a warning of the largest truncation error, if it is notable."""
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
