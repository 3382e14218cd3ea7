"""Builds requests: what both clients share before anything is sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final, Literal, TypeVar

from whence._messages import build
from whence.errors import InvalidRequestError
from whence.examples import TrainingExample
from whence.filters import Filter
from whence.queries import Query
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2

R = TypeVar("R")
Direction = Literal["positive", "negative", "both"]
Search = Literal["auto", "full_scan", "index_rerank", "index_only", "tfidf_rerank"]

_DIRECTIONS: Final = {
    "positive": attribution_pb2.DIRECTION_POSITIVE,
    "negative": attribution_pb2.DIRECTION_NEGATIVE,
    "both": attribution_pb2.DIRECTION_BOTH,
}
_SEARCHES: Final = {
    "auto": attribution_pb2.SEARCH_UNSPECIFIED,
    "full_scan": attribution_pb2.SEARCH_FULL_SCAN,
    "index_rerank": attribution_pb2.SEARCH_INDEX_RERANK,
    "index_only": attribution_pb2.SEARCH_INDEX_ONLY,
    "tfidf_rerank": attribution_pb2.SEARCH_TFIDF_RERANK,
}

SEARCH_NAMES: Final = {number: name for name, number in _SEARCHES.items() if number}


def one_query(query: Query | None, prompt: str, completion: str | None) -> Query:
    """Return the query that was given, either way. Raises ``InvalidRequestError`` for none or for both."""
    if query is not None and completion is None and not prompt:
        return query
    if query is None and completion is not None:
        return Query.text(prompt, completion)
    got = "both a query and a prompt or completion" if query is not None else "neither a query nor a completion"
    raise InvalidRequestError(
        f"got {got}: give prompt= and completion=, or a whence.Query",
        reason=Reason.MISSING_QUERY_INPUT,
        field="query",
    )


def one_or_more_queries(
    queries: Query | Sequence[Query] | None, prompt: str = "", completion: str | None = None
) -> tuple[Query, ...]:
    """Return the queries that were given, either way. Raises ``InvalidRequestError`` for none or for both."""
    if queries is None or isinstance(queries, Query):
        return (one_query(queries, prompt, completion),)
    if not queries or completion is not None or prompt:
        raise InvalidRequestError(
            "give at least one query, or prompt= and completion=", reason=Reason.MISSING_QUERIES, field="queries"
        )
    return tuple(queries)


def options(
    *,
    top_k: int,
    direction: Direction,
    damping_factor: float | None,
    include_layers: bool,
    include_tokens: bool,
    search: Search,
    candidates: int | None,
    only: Filter | None,
    layers: Sequence[str],
    return_partial_success: bool,
    query_rank: int | None = None,
) -> attribution_pb2.AttributionOptions:
    """Return the options; limits that depend on the model are the server's to check."""
    if _is_less(top_k, 1):
        raise InvalidRequestError(
            f"top_k is {top_k}: it must be at least 1", reason=Reason.INVALID_TOP_K, field="options.top_k"
        )
    if candidates is not None and _is_less(candidates, 1):
        raise InvalidRequestError(
            f"candidates is {candidates}: it must be at least 1, or None for the server's choice",
            reason=Reason.INVALID_CANDIDATES,
            field="options.candidates",
        )
    if query_rank is not None and _is_less(query_rank, 0):
        raise InvalidRequestError(
            f"query_rank is {query_rank}: it must be 0 (whole), at least 1, or None for the server's choice",
            reason=Reason.INVALID_QUERY_RANK,
            field="options.query_rank",
        )
    return build(
        attribution_pb2.AttributionOptions,
        "options",
        top_k=top_k,
        direction=_choice(_DIRECTIONS, direction, "direction", Reason.UNKNOWN_DIRECTION),
        damping_factor=damping_factor,
        include_layers=include_layers,
        include_tokens=include_tokens,
        search=_choice(_SEARCHES, search, "search", Reason.UNKNOWN_SEARCH),
        candidates=candidates or 0,
        filter=None if only is None else only.to_proto(),
        layers=_names(layers, "options.layers"),
        return_partial_success=return_partial_success,
        query_rank=query_rank,
    )


def attribute(
    query: Query, chosen: attribution_pb2.AttributionOptions, *, model: str, request_id: str
) -> attribution_service_pb2.AttributeRequest:
    """Return the request for one query's ranking."""
    return build(
        attribution_service_pb2.AttributeRequest,
        model=model,
        query=query.to_proto(),
        options=chosen,
        request_id=request_id or new_request_id(),
    )


def stream(
    query: Query, chosen: attribution_pb2.AttributionOptions, *, model: str, request_id: str
) -> attribution_service_pb2.StreamAttributeRequest:
    """Return the request for one query's ranking with progress."""
    return build(
        attribution_service_pb2.StreamAttributeRequest,
        model=model,
        query=query.to_proto(),
        options=chosen,
        request_id=request_id or new_request_id(),
    )


def batch(
    queries: Sequence[Query], chosen: attribution_pb2.AttributionOptions, *, model: str, request_id: str
) -> attribution_service_pb2.BatchAttributeRequest:
    """Return the request for many queries' rankings."""
    return build(
        attribution_service_pb2.BatchAttributeRequest,
        model=model,
        queries=[query.to_proto() for query in queries],
        options=chosen,
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
    if top_k is not None and _is_less(top_k, 1):
        raise InvalidRequestError(
            f"top_k is {top_k}: it must be at least 1", reason=Reason.INVALID_TOP_K, field="top_k"
        )
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
    query: Query,
    *,
    group_by: str,
    samples: int | None,
    seed: int,
    only: Filter | None,
    layers: Sequence[str],
    damping_factor: float | None,
    model: str,
    request_id: str,
) -> attribution_service_pb2.GroupInfluenceRequest:
    """Return the request for the influence of groups of sequences."""
    if samples is not None and _is_less(samples, 1):
        raise InvalidRequestError(
            f"samples is {samples}: it must be at least 1, or None for the server's choice",
            reason=Reason.INVALID_SAMPLES,
            field="samples",
        )
    if _is_less(seed, 0) or not _is_less(seed, 2**64):
        raise InvalidRequestError(
            f"seed is {seed}: it must be from 0 to 2**64 - 1", reason=Reason.INVALID_SEED, field="seed"
        )
    return build(
        attribution_service_pb2.GroupInfluenceRequest,
        model=model,
        query=query.to_proto(),
        group_by=group_by,
        samples=samples or 0,
        seed=seed,
        filter=None if only is None else only.to_proto(),
        layers=_names(layers, "layers"),
        damping_factor=damping_factor,
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
    """Return the request for one influence, split over layers and tokens."""
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


def selectors(
    sequence_ids: Sequence[str], texts: Sequence[str], examples: Sequence[TrainingExample] = ()
) -> list[attribution_service_pb2.SequenceSelector]:
    """Return the sequences named by id, those given as text, then examples. Raises ``InvalidRequestError`` for none."""
    if isinstance(sequence_ids, str) or isinstance(texts, str) or isinstance(examples, TrainingExample):
        raise InvalidRequestError(
            "sequence_ids, texts and examples are lists: write sequence_ids=[…]",
            reason=Reason.INVALID_SEQUENCES,
            field="sequences",
        )
    chosen = [_selector(f"sequences[{place}]", sequence_id=one) for place, one in enumerate(sequence_ids)]
    chosen += [_selector(f"sequences[{place}]", text=one) for place, one in enumerate(texts, len(chosen))]
    chosen += [one.to_proto(f"sequences[{place}]") for place, one in enumerate(examples, len(chosen))]
    if not chosen:
        raise InvalidRequestError(
            "no training sequences: give sequence_ids=, texts= or examples=",
            reason=Reason.MISSING_SEQUENCES,
            field="sequences",
        )
    return chosen


def one_selector(
    sequence_id: str | None, text: str | None, example: TrainingExample | None = None
) -> attribution_service_pb2.SequenceSelector:
    """Return the sequence that was named or given. Raises ``InvalidRequestError`` unless there is exactly one."""
    if sum(given is not None for given in (sequence_id, text, example)) != 1:
        raise InvalidRequestError(
            "give one of sequence_id= (a sequence of the corpus), text= (any text) and example= (with its mask)",
            reason=Reason.MISSING_SEQUENCES,
            field="sequence",
        )
    if example is not None:
        return example.to_proto("sequence")
    return _selector("sequence", sequence_id=sequence_id) if text is None else _selector("sequence", text=text)


def _selector(path: str, **given: str | None) -> attribution_service_pb2.SequenceSelector:
    return build(attribution_service_pb2.SequenceSelector, path, **given)


def model(name: str) -> attribution_service_pb2.GetModelRequest:
    """Return the request for one served model."""
    return build(attribution_service_pb2.GetModelRequest, name=name)


def new_request_id() -> str:
    """Return a fresh name for a call: made here, so that it is known even of a call that got no answer."""
    return str(uuid.uuid4())


def _is_less(value: object, bound: int) -> bool:
    """Compare numbers. What is no number is not less; the message refuses it, by name."""
    return isinstance(value, int | float) and value < bound


def _names(layers: Sequence[str], field: str) -> Sequence[str]:
    if isinstance(layers, str):
        raise InvalidRequestError(
            f"layers is the text {layers!r}: it is a list of names or patterns, such as [{layers!r}]",
            reason=Reason.INVALID_LAYERS,
            field=field,
        )
    return layers


def _choice(choices: dict[str, R], name: str, field: str, reason: Reason) -> R:
    if not isinstance(name, str) or name not in choices:
        raise InvalidRequestError(
            f"{field} is {name!r}: it must be one of {', '.join(choices)}",
            reason=reason,
            field=f"options.{field}",
        )
    return choices[name]
