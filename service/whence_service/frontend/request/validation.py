"""One validator for each call: it checks a request once and returns all of it as one frozen object.

Validators are pure. They need no tokenizer and no model: what depends on the model
:func:`~whence_service.frontend.request.context.check_model_limits` checks, and what depends on the tokenizer (a
completion that is no token) the workers check.
"""

from __future__ import annotations

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_service_pb2 as messages
from whence_service.frontend.request.checked import (
    CheckedRequest,
    GroupOptions,
    OverlapOptions,
    ScoreOptions,
    SearchOptions,
    SelfInfluenceOptions,
)
from whence_service.frontend.request.fields import numbered
from whence_service.frontend.request.limits import RequestLimits
from whence_service.frontend.request.options import (
    check_damping,
    check_filter,
    check_groups,
    check_ngram,
    check_search,
    check_top_k,
)
from whence_service.frontend.request.queries import check_queries, check_query
from whence_service.frontend.request.sequences import check_sequence, check_sequences


def check_attribute(
    request: messages.AttributeRequest | messages.StreamAttributeRequest | messages.BatchAttributeRequest,
    limits: RequestLimits,
) -> CheckedRequest[SearchOptions]:
    """Check a request for the most influential sequences of one query or, in a batch, of several."""
    options = check_search(request.options, limits)
    damping_factor = check_damping(request.options, "options.damping_factor")
    if isinstance(request, messages.BatchAttributeRequest):
        check_queries(request.queries, limits)
        queries, fields = tuple(request.queries), numbered("queries", len(request.queries))
    else:
        check_query(request.query, "query")
        queries, fields = (request.query,), ("query",)
    return CheckedRequest(
        model=request.model,
        queries=queries,
        query_fields=fields,
        damping_factor=damping_factor,
        layers=tuple(request.options.layers),
        layers_field="options.layers",
        query_rank=request.options.query_rank if request.options.HasField("query_rank") else None,
        partial=request.options.return_partial_success,
        options=options,
    )


def check_score(request: messages.ScoreRequest, limits: RequestLimits) -> CheckedRequest[ScoreOptions]:
    """Check a request for the influence of given sequences on given queries."""
    check_queries(request.queries, limits)
    check_sequences(request.sequences, limits)
    return CheckedRequest(
        model=request.model,
        queries=tuple(request.queries),
        query_fields=numbered("queries", len(request.queries)),
        damping_factor=check_damping(request, "damping_factor"),
        query_rank=0,
        options=ScoreOptions(
            sequences=tuple(request.sequences),
            fields=numbered("sequences", len(request.sequences)),
            include_layers=request.include_layers,
        ),
    )


def check_explain(request: messages.ExplainRequest) -> CheckedRequest[ScoreOptions]:
    """Check a request for one sequence's influence on one query."""
    check_query(request.query, "query")
    check_sequence(request.sequence, "sequence")
    return CheckedRequest(
        model=request.model,
        queries=(request.query,),
        query_fields=("query",),
        damping_factor=check_damping(request, "damping_factor"),
        query_rank=0,
        options=ScoreOptions(sequences=(request.sequence,), fields=("sequence",)),
    )


def check_self_influence(
    request: messages.SelfInfluenceRequest, limits: RequestLimits
) -> CheckedRequest[SelfInfluenceOptions]:
    """Check a request for self-influence: of the corpus, by its index, or of given sequences."""
    damping_factor = check_damping(request, "damping_factor")
    if request.sequences:
        check_sequences(request.sequences, limits)
        if request.HasField("filter"):
            raise InvalidRequestError(
                "the request has both sequences and a filter; a filter selects among the corpus: send one of them",
                reason=Reason.INVALID_FILTER,
                field="filter",
            )
    elif damping_factor is not None:
        raise InvalidRequestError(
            "the self-influences of the whole corpus are the index's, with its damping; name sequences to have theirs "
            "computed with another",
            reason=Reason.INVALID_DAMPING_FACTOR,
            field="damping_factor",
        )
    return CheckedRequest(
        model=request.model,
        damping_factor=damping_factor,
        options=SelfInfluenceOptions(
            sequences=tuple(request.sequences),
            fields=numbered("sequences", len(request.sequences)),
            top_k=request.top_k if request.sequences else check_top_k(request.top_k, limits, "top_k"),
            filter=check_filter(request.filter, "filter"),
        ),
    )


def check_group_influence(
    request: messages.GroupInfluenceRequest, limits: RequestLimits
) -> CheckedRequest[GroupOptions]:
    """Check a request for the influence of groups of sequences on one query."""
    check_query(request.query, "query")
    options = check_groups(request, limits)
    return CheckedRequest(
        model=request.model,
        queries=(request.query,),
        query_fields=("query",),
        damping_factor=check_damping(request, "damping_factor"),
        layers=tuple(request.layers),
        options=options,
    )


def check_text_overlap(request: messages.TextOverlapRequest, limits: RequestLimits) -> CheckedRequest[OverlapOptions]:
    """Check a request for the sequences that share the most n-grams with given queries."""
    check_queries(request.queries, limits)
    return CheckedRequest(
        model=request.model,
        queries=tuple(request.queries),
        query_fields=numbered("queries", len(request.queries)),
        query_rank=0,
        options=check_ngram(request.ngram),
    )
