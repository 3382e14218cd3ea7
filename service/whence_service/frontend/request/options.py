"""Checks of options, each of which fills in its default; ``field`` is where the caller's message has the option."""

from __future__ import annotations

from typing import Final, TypeAlias

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence_service.frontend.request.checked import GroupOptions, OverlapOptions, SearchOptions
from whence_service.frontend.request.fields import unknown_value
from whence_service.frontend.request.limits import RequestLimits
from whence_service.rpc.bounds import LEAST_DAMPING, MOST_DAMPING

DEFAULT_TOP_K: Final = 10
# The n-grams that texts are compared by: shorter ones are in many texts by chance, longer ones miss what was edited.
DEFAULT_NGRAM: Final = 8
_NGRAMS: Final = (2, 64)
# Candidates of a search that names no number: at least so many, and so many for each sequence that is returned.
DEFAULT_CANDIDATES: Final = 400
CANDIDATES_PER_HIT: Final = 4
# Those of a search by tokens, as in Grosse et al. 2023: the influential sequences are among many more.
DEFAULT_TFIDF_CANDIDATES: Final = 10_000
# The expected recall at which no more candidates are scored: of the first ten, a fifth of one is missing.
DEFAULT_STOP_AT_RECALL: Final = 0.98
# The smallest sample from which a variance can be estimated.
MIN_SAMPLES: Final = 30
# Sequences that are drawn and scored to know the noise, and the fewest from which its scale is known to a fifth or so.
DEFAULT_NOISE_SAMPLE: Final = 64
MIN_NOISE_SAMPLE: Final = 20
# The rank of a batch's queries where they are too many to be kept whole, after Grosse et al. 2023.
DEFAULT_QUERY_RANK: Final = 32

_DIRECTIONS: Final = {
    attribution_pb2.DIRECTION_UNSPECIFIED: attribution_pb2.DIRECTION_POSITIVE,
    attribution_pb2.DIRECTION_POSITIVE: attribution_pb2.DIRECTION_POSITIVE,
    attribution_pb2.DIRECTION_NEGATIVE: attribution_pb2.DIRECTION_NEGATIVE,
    attribution_pb2.DIRECTION_BOTH: attribution_pb2.DIRECTION_BOTH,
}

_SEARCHES: Final = (
    attribution_pb2.SEARCH_UNSPECIFIED,
    attribution_pb2.SEARCH_FULL_SCAN,
    attribution_pb2.SEARCH_INDEX_RERANK,
    attribution_pb2.SEARCH_INDEX_ONLY,
    attribution_pb2.SEARCH_TFIDF_RERANK,
    attribution_pb2.SEARCH_UNION_RERANK,
)


_Damped: TypeAlias = (
    attribution_pb2.AttributionOptions
    | attribution_service_pb2.ScoreRequest
    | attribution_service_pb2.ExplainRequest
    | attribution_service_pb2.SelfInfluenceRequest
    | attribution_service_pb2.GroupInfluenceRequest
)


def check_search(options: attribution_pb2.AttributionOptions, limits: RequestLimits) -> SearchOptions:
    """Return the options of a search, or raise :class:`~whence.errors.InvalidRequestError`."""
    top_k = check_top_k(options.top_k, limits, "options.top_k")
    if options.direction not in _DIRECTIONS:
        raise unknown_value(Reason.UNKNOWN_DIRECTION, "options.direction", options.direction)
    if options.search not in _SEARCHES:
        raise unknown_value(Reason.UNKNOWN_SEARCH, "options.search", options.search)
    return SearchOptions(
        top_k=top_k,
        direction=_DIRECTIONS[options.direction],
        include_layers=options.include_layers,
        include_tokens=options.include_tokens,
        search=options.search,
        candidates=_check_candidates(options, top_k, limits),
        filter=check_filter(options.filter, "options.filter"),
        significant_only=_check_significant_only(options),
        noise_sample=_check_noise_sample(options, limits),
        stop_at_recall=_check_stop_at_recall(options),
    )


def _check_noise_sample(options: attribution_pb2.AttributionOptions, limits: RequestLimits) -> int:
    """Return the size of the sample, 0 for none: estimates have no noise to know."""
    asked = options.noise_sample if options.HasField("noise_sample") else DEFAULT_NOISE_SAMPLE
    if options.HasField("noise_sample") and asked and not MIN_NOISE_SAMPLE <= asked <= limits.max_candidates:
        raise InvalidRequestError(
            f"noise_sample is {asked}; this server scores from {MIN_NOISE_SAMPLE} to {limits.max_candidates} sequences "
            "to know the noise, or none: 0",
            reason=Reason.INVALID_NOISE_SAMPLE,
            field="options.noise_sample",
            max_noise_sample=limits.max_candidates,
        )
    return 0 if options.search == attribution_pb2.SEARCH_INDEX_ONLY else min(asked, limits.max_candidates)


def _check_significant_only(options: attribution_pb2.AttributionOptions) -> bool:
    if options.significant_only and options.search == attribution_pb2.SEARCH_INDEX_ONLY:
        raise InvalidRequestError(
            "significant_only is set, but the estimates of SEARCH_INDEX_ONLY have no significance; ask for another "
            "search",
            reason=Reason.UNEXPECTED_SIGNIFICANT_ONLY,
            field="options.significant_only",
        )
    return options.significant_only


def _check_stop_at_recall(options: attribution_pb2.AttributionOptions) -> float:
    if not options.HasField("stop_at_recall"):
        return DEFAULT_STOP_AT_RECALL
    if not 0 < options.stop_at_recall <= 1:
        raise InvalidRequestError(
            f"stop_at_recall is {options.stop_at_recall}; expected more than 0 and at most 1, which scores all",
            reason=Reason.INVALID_STOP_AT_RECALL,
            field="options.stop_at_recall",
        )
    return options.stop_at_recall


def check_top_k(top_k: int, limits: RequestLimits, field: str) -> int:
    """Return the number of hits, the default where it is 0."""
    if top_k > limits.max_top_k:
        raise InvalidRequestError(
            f"top_k is {top_k}; this server returns at most {limits.max_top_k}",
            reason=Reason.TOO_LARGE_TOP_K,
            field=field,
            max_top_k=limits.max_top_k,
        )
    return top_k or DEFAULT_TOP_K


def _check_candidates(options: attribution_pb2.AttributionOptions, top_k: int, limits: RequestLimits) -> int:
    if options.candidates > limits.max_candidates:
        raise InvalidRequestError(
            f"candidates is {options.candidates}; this server scores at most {limits.max_candidates} of a query",
            reason=Reason.TOO_MANY_CANDIDATES,
            field="options.candidates",
            max_candidates=limits.max_candidates,
        )
    if options.candidates and options.candidates < top_k:
        raise InvalidRequestError(
            f"candidates is {options.candidates}, fewer than the {top_k} sequences that are asked for; ask for more "
            "candidates, or leave them out",
            reason=Reason.TOO_FEW_CANDIDATES,
            field="options.candidates",
        )
    return max(top_k, options.candidates or _default_candidates(options.search, top_k, limits))


def _default_candidates(search: attribution_pb2.Search.ValueType, top_k: int, limits: RequestLimits) -> int:
    if search == attribution_pb2.SEARCH_TFIDF_RERANK:
        return max(top_k, min(DEFAULT_TFIDF_CANDIDATES, limits.max_candidates))
    return max(DEFAULT_CANDIDATES, CANDIDATES_PER_HIT * top_k)


def choose_rank(requested: int | None, queries: int, max_whole: int) -> int:
    """Return the rank that queries are kept in, 0 for whole: the requested one, or whole while the queries fit.

    ``max_whole`` is the number of whole queries that fit in the workers' memory, 0 where it is unknown.
    """
    if requested is not None:
        return requested
    return DEFAULT_QUERY_RANK if max_whole and queries > max_whole else 0


def check_ngram(ngram: int) -> OverlapOptions:
    """Return the options of an overlap, or raise :class:`~whence.errors.InvalidRequestError`."""
    fewest, most = _NGRAMS
    if ngram and not fewest <= ngram <= most:
        raise InvalidRequestError(
            f"ngram is {ngram}; an n-gram has from {fewest} to {most} tokens, {DEFAULT_NGRAM} if nothing is said",
            reason=Reason.INVALID_NGRAM,
            field="ngram",
        )
    return OverlapOptions(ngram=ngram or DEFAULT_NGRAM)


def check_groups(request: attribution_service_pb2.GroupInfluenceRequest, limits: RequestLimits) -> GroupOptions:
    """Return the options of a request for groups, or raise :class:`~whence.errors.InvalidRequestError`.

    The workers check whether the corpus has the field that groups it.
    """
    samples = request.samples or DEFAULT_CANDIDATES
    if not MIN_SAMPLES <= samples <= limits.max_candidates:
        raise InvalidRequestError(
            f"samples is {samples}; this server scores from {MIN_SAMPLES} to {limits.max_candidates}: fewer would say "
            "nothing about their own error",
            reason=Reason.INVALID_SAMPLES,
            field="samples",
            max_samples=limits.max_candidates,
        )
    return GroupOptions(
        group_by=request.group_by or "source",
        samples=samples,
        seed=request.seed,
        filter=check_filter(request.filter, "filter"),
    )


def check_filter(selection: attribution_pb2.Filter, field: str) -> attribution_pb2.Filter | None:
    """Return the filter, ``None`` where it lets everything through; raise where it can let nothing through."""
    first, last = selection.first_document_id, selection.last_document_id
    if first and last and first > last:
        raise InvalidRequestError(
            f"the filter's documents begin with {first!r}, which sorts after their end {last!r}: ids are compared as "
            "text",
            reason=Reason.INVALID_FILTER,
            field=field,
        )
    return selection if selection != attribution_pb2.Filter() else None


def check_damping(message: _Damped, field: str) -> float | None:
    """Return a message's damping factor, ``None`` for the model's own; raise unless it is positive and usable.

    Zero would divide by eigenvalues that may be zero, in directions that the training data lacks; and factors beyond
    the bounds lead to values that float32 cannot hold.
    """
    damping_factor = message.damping_factor if message.HasField("damping_factor") else None
    if damping_factor is not None and not LEAST_DAMPING <= damping_factor <= MOST_DAMPING:
        raise InvalidRequestError(
            f"the damping factor is {damping_factor}; it is a positive multiple of each layer's mean corrected "
            f"eigenvalue, from {LEAST_DAMPING:g} to {MOST_DAMPING:g} (0.1 is usual)",
            reason=Reason.INVALID_DAMPING_FACTOR,
            field=field,
        )
    return damping_factor
