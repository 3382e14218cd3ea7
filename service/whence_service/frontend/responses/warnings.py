"""The warnings that an answer carries about its ranking: short, partial, estimated or incomplete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whence.reasons import WarningCode
from whence.v1 import attribution_pb2
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.policy import NEGATIVE, POSITIVE, RERANKED, Search
from whence_service.frontend.search.rankings import SearchResult
from whence_service.rpc.identity import Identity, Scope


def fewer_warnings(
    attributions: Sequence[attribution_pb2.Attribution], result: SearchResult, options: SearchOptions
) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning for each ranking that is short because too few influences have its sign."""
    if options.significant_only:
        return  # short for another reason
    among = result.sequences_scored or result.sequences_searched
    for name, code, directions in (
        ("positive", WarningCode.FEWER_POSITIVE_THAN_TOP_K, POSITIVE),
        ("negative", WarningCode.FEWER_NEGATIVE_THAN_TOP_K, NEGATIVE),
    ):
        if options.direction not in directions:
            continue
        counts = [len(getattr(attribution, name)) for attribution in attributions]
        short = sum(count < min(options.top_k, among) for count in counts)
        if short:
            which = f" on the query with the fewest ({short} of {len(counts)} have too few)" if len(counts) > 1 else ""
            yield attribution_pb2.Warning(
                code=code,
                message=f"of {among} sequences {min(counts)} have {name} influence{which}, fewer than the "
                f"{options.top_k} asked for: the others do not belong in this ranking and are left out",
            )


def withheld_warnings(identity: Identity) -> Iterator[attribution_pb2.Warning]:
    """Yield a warning if the caller may not read texts, which an answer then lacks."""
    if not identity.may(Scope.READ_TEXTS):
        yield attribution_pb2.Warning(
            code=WarningCode.TEXTS_WITHHELD,
            message="texts, sources and metadata of training sequences are left out, and the places of tokens in them: "
            f"these credentials lack the scope {Scope.READ_TEXTS.value!r}",
        )


def search_warnings(
    context: RequestContext[object], search: Search, result: SearchResult, *, top_k: int, filtered: bool
) -> Iterator[attribution_pb2.Warning]:
    """Yield the warnings about the search that led to a result."""
    sequences = result.sequences_searched or result.sequences_total
    if sequences < top_k:
        which = "the filter lets only" if filtered else "the corpus has only"
        yield attribution_pb2.Warning(
            code=WarningCode.TOP_K_EXCEEDS_CORPUS,
            message=f"top_k is {top_k}, but {which} {sequences} sequences{' through' if filtered else ''}",
        )
    if result.unreachable:
        share = context.generation.share_without(result.unreachable)
        yield attribution_pb2.Warning(
            code=WarningCode.PARTIAL_ANSWER,
            message=f"the shards {', '.join(result.unreachable)} could not be reached; this answer covers {share:.1%} "
            "of the corpus, and what it lacks may be more influential",
        )
    if search == attribution_pb2.SEARCH_INDEX_ONLY:
        yield attribution_pb2.Warning(
            code=WarningCode.INFLUENCES_ESTIMATED,
            message="influences are what the gradient index estimates from the coordinates that it keeps; only their "
            "order means something, and that roughly: ask for SEARCH_INDEX_RERANK for exact ones",
        )
    if search == attribution_pb2.SEARCH_TFIDF_RERANK:
        yield attribution_pb2.Warning(
            code=WarningCode.CANDIDATES_BY_TOKENS,
            message="only sequences that share tokens with the query were scored; what influences it without sharing "
            "its words is missing, and the more abstract the influence, the more of it: use an index, or a full scan",
        )
    if search in RERANKED and result.sequences_scored < result.sequences_total:
        yield attribution_pb2.Warning(
            code=WarningCode.RERANK_INCOMPLETE,
            message=f"the deadline left time to score {result.sequences_scored} of {result.sequences_total} "
            "candidates; more of the best may be missing: allow more time, or ask for fewer candidates",
        )
    if any(result.truncation_errors):
        why = "" if context.request.query_rank else ": their whole gradients do not fit the workers' memory at once"
        yield attribution_pb2.Warning(
            code=WarningCode.QUERIES_OF_BOUNDED_RANK,
            message=f"the queries' preconditioned gradients were kept in rank {context.query_rank}{why}; influences "
            f"are off by about {max(result.truncation_errors):.1%} (see truncation_error); ask for fewer queries, or a "
            "higher query_rank, for more exact ones",
        )
