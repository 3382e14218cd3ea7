"""Builds the requests of both clients."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from whence._inputs import selectors
from whence._messages import build
from whence.errors import InvalidRequestError
from whence.examples import TrainingExample
from whence.filters import Filter
from whence.options import AttributionOptions, BatchOptions, Direction, GroupOptions, Search, complete, declared
from whence.queries import Query
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2

K = TypeVar("K", bound=str)
R = TypeVar("R")

_DIRECTIONS: Final[dict[Direction, attribution_pb2.Direction.ValueType]] = {
    "positive": attribution_pb2.DIRECTION_POSITIVE,
    "negative": attribution_pb2.DIRECTION_NEGATIVE,
    "both": attribution_pb2.DIRECTION_BOTH,
}
_SEARCHES: Final[dict[Search, attribution_pb2.Search.ValueType]] = {
    "auto": attribution_pb2.SEARCH_UNSPECIFIED,
    "full_scan": attribution_pb2.SEARCH_FULL_SCAN,
    "index_rerank": attribution_pb2.SEARCH_INDEX_RERANK,
    "index_only": attribution_pb2.SEARCH_INDEX_ONLY,
    "tfidf_rerank": attribution_pb2.SEARCH_TFIDF_RERANK,
    "union_rerank": attribution_pb2.SEARCH_UNION_RERANK,
}

SEARCH_NAMES: Final = {number: name for name, number in _SEARCHES.items() if number}


def attribute(
    query: Query, options: AttributionOptions, *, model: str, request_id: str
) -> attribution_service_pb2.AttributeRequest:
    """Return the request for the ranking of a query."""
    return build(
        attribution_service_pb2.AttributeRequest,
        model=model,
        query=query.to_proto(),
        options=_attribution_options(AttributionOptions, options),
        request_id=request_id or new_request_id(),
    )


def stream(
    query: Query, options: AttributionOptions, *, model: str, request_id: str
) -> attribution_service_pb2.StreamAttributeRequest:
    """Return the request for the ranking of a query, with progress."""
    return build(
        attribution_service_pb2.StreamAttributeRequest,
        model=model,
        query=query.to_proto(),
        options=_attribution_options(AttributionOptions, options),
        request_id=request_id or new_request_id(),
    )


def batch(
    queries: Sequence[Query], options: BatchOptions, *, model: str, request_id: str
) -> attribution_service_pb2.BatchAttributeRequest:
    """Return the request for the rankings of several queries."""
    return build(
        attribution_service_pb2.BatchAttributeRequest,
        model=model,
        queries=[query.to_proto() for query in queries],
        options=_attribution_options(BatchOptions, options),
        request_id=request_id or new_request_id(),
    )


def self_influence(
    *,
    top_k: int | None,
    only: Filter | None,
    sequence_ids: Sequence[str],
    texts: Sequence[str],
    examples: Sequence[TrainingExample],
    damping_factor: float | None,
    model: str,
    request_id: str,
) -> attribution_service_pb2.SelfInfluenceRequest:
    """Return the request for the sequences that influence themselves most."""
    declared(AttributionOptions)["top_k"].check("top_k", top_k)
    return build(
        attribution_service_pb2.SelfInfluenceRequest,
        model=model,
        top_k=top_k or 0,
        filter=None if only is None else only.to_proto(),
        sequences=selectors(sequence_ids, texts, examples) if sequence_ids or texts or examples else (),
        damping_factor=damping_factor,
        request_id=request_id or new_request_id(),
    )


def group_influence(
    query: Query, options: GroupOptions, *, model: str, request_id: str
) -> attribution_service_pb2.GroupInfluenceRequest:
    """Return the request for the influence of groups of sequences."""
    values = complete(GroupOptions, options)
    only: Filter | None = values.pop("only")
    encoded = {
        "samples": values["samples"] or 0,
        "filter": None if only is None else only.to_proto(),
        "layers": _names(values["layers"], "layers"),
    }
    return build(
        attribution_service_pb2.GroupInfluenceRequest,
        model=model,
        query=query.to_proto(),
        request_id=request_id or new_request_id(),
        **{**values, **encoded},
    )


def text_overlap(
    queries: Sequence[Query], *, ngram: int | None, model: str, request_id: str
) -> attribution_service_pb2.TextOverlapRequest:
    """Return the request for the sequences that have the most n-grams of given queries."""
    if isinstance(ngram, int) and ngram < 2:
        raise InvalidRequestError(
            f"ngram is {ngram!r}; an n-gram has at least 2 tokens", reason=Reason.INVALID_NGRAM, field="ngram"
        )
    return build(
        attribution_service_pb2.TextOverlapRequest,
        model=model,
        queries=[query.to_proto() for query in queries],
        ngram=ngram or 0,
        request_id=request_id or new_request_id(),
    )


def score(
    queries: Sequence[Query],
    sequences: Sequence[attribution_service_pb2.SequenceSelector],
    *,
    model: str,
    damping_factor: float | None,
    include_layers: bool,
    request_id: str,
) -> attribution_service_pb2.ScoreRequest:
    """Return the request for the influence of given sequences."""
    return build(
        attribution_service_pb2.ScoreRequest,
        model=model,
        queries=[query.to_proto() for query in queries],
        sequences=sequences,
        damping_factor=damping_factor,
        include_layers=include_layers,
        request_id=request_id or new_request_id(),
    )


def explain(
    query: Query,
    sequence: attribution_service_pb2.SequenceSelector,
    *,
    model: str,
    damping_factor: float | None,
    request_id: str,
) -> attribution_service_pb2.ExplainRequest:
    """Return the request for an influence, split over layers and tokens."""
    return build(
        attribution_service_pb2.ExplainRequest,
        model=model,
        query=query.to_proto(),
        sequence=sequence,
        damping_factor=damping_factor,
        request_id=request_id or new_request_id(),
    )


def models_page(page_size: int, page_token: str) -> attribution_service_pb2.ListModelsRequest:
    """Return the request for a page of models; 0 leaves its size to the server."""
    return build(attribution_service_pb2.ListModelsRequest, page_size=page_size, page_token=page_token)


def model(name: str) -> attribution_service_pb2.GetModelRequest:
    """Return the request for a served model."""
    return build(attribution_service_pb2.GetModelRequest, name=name)


def new_request_id() -> str:
    """Return a new id. The client makes it, so that a call without an answer has one too."""
    return str(uuid.uuid4())


def _attribution_options(kind: type, given: Mapping[str, Any]) -> attribution_pb2.AttributionOptions:
    values = complete(kind, given, "options.")
    only: Filter | None = values.pop("only")
    encoded = {
        "direction": _choice(_DIRECTIONS, values["direction"], "direction", Reason.UNKNOWN_DIRECTION),
        "search": _choice(_SEARCHES, values["search"], "search", Reason.UNKNOWN_SEARCH),
        "candidates": values["candidates"] or 0,
        "filter": None if only is None else only.to_proto(),
        "layers": _names(values["layers"], "options.layers"),
    }
    return build(attribution_pb2.AttributionOptions, "options", **{**values, **encoded})


def _names(layers: Sequence[str], field: str) -> Sequence[str]:
    if isinstance(layers, str):
        raise InvalidRequestError(
            f"layers is the text {layers!r}: it is a list of names or patterns, such as [{layers!r}]",
            reason=Reason.INVALID_LAYERS,
            field=field,
        )
    return layers


def _choice(choices: Mapping[K, R], name: K, field: str, reason: Reason) -> R:
    if not isinstance(name, str) or name not in choices:
        raise InvalidRequestError(
            f"{field} is {name!r}: it must be one of {', '.join(choices)}",
            reason=reason,
            field=f"options.{field}",
        )
    return choices[name]
