"""Checking requests before any work is done for them: pure, and without a tokenizer.

What needs the tokenizer (a completion that is no token, a text that is too long) the workers check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, attribution_service_pb2, model_pb2, query_pb2
from whence_service.rpc.bounds import LEAST_DAMPING, MOST_DAMPING, too_large_text

DEFAULT_TOP_K: Final = 10
# Candidates of a search that names no number: at least so many, and so many for each sequence that is returned.
DEFAULT_CANDIDATES: Final = 400
CANDIDATES_PER_HIT: Final = 4
# Those of a search by tokens, as in Grosse et al. 2023: it finds the influential among many more.
DEFAULT_TFIDF_CANDIDATES: Final = 10_000
# The smallest sample that tells a variance.
MIN_SAMPLES: Final = 30
# More groups than these are no summary.
MAX_GROUPS: Final = 10_000
# Patterns of layers, each of which is matched with every layer's name, and how long one may be to mean any.
MAX_PATTERNS: Final = 100
LONGEST_PATTERN: Final = 256
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
)
_MEASUREMENTS: Final = (
    query_pb2.MEASUREMENT_UNSPECIFIED,
    query_pb2.MEASUREMENT_COMPLETION_LOG_LIKELIHOOD,
)


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """The most that one request may ask."""

    max_top_k: int
    max_queries: int
    max_score_sequences: int
    max_candidates: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Options with their defaults filled in. ``damping_factor`` is ``None`` for the model's own.

    ``search`` is unspecified where the best that the model has is asked for. ``partial``: shards that cannot be reached
    may be missing. ``wanted`` says which sequences count, ``None`` all. ``layers`` are names or patterns of layers,
    none for all; ``query_rank`` is ``None`` for the server's choice and 0 for whole gradients.
    """

    top_k: int
    direction: attribution_pb2.Direction.ValueType
    damping_factor: float | None
    include_layers: bool
    include_tokens: bool
    search: attribution_pb2.Search.ValueType
    candidates: int
    partial: bool
    wanted: attribution_pb2.Filter | None
    layers: tuple[str, ...] = ()
    query_rank: int | None = None


def check_options(options: attribution_pb2.AttributionOptions, limits: RequestLimits) -> Asked:
    """Return what the options ask for, or raise :class:`~whence.errors.InvalidRequestError`."""
    if options.top_k > limits.max_top_k:
        raise InvalidRequestError(
            f"top_k is {options.top_k}; this server returns at most {limits.max_top_k}",
            reason=Reason.TOO_LARGE_TOP_K,
            field="options.top_k",
            max_top_k=limits.max_top_k,
        )
    if options.direction not in _DIRECTIONS:
        raise _unknown(Reason.UNKNOWN_DIRECTION, "options.direction", options.direction)
    if options.search not in _SEARCHES:
        raise _unknown(Reason.UNKNOWN_SEARCH, "options.search", options.search)
    if options.candidates > limits.max_candidates:
        raise InvalidRequestError(
            f"candidates is {options.candidates}; this server scores at most {limits.max_candidates} of a query",
            reason=Reason.TOO_MANY_CANDIDATES,
            field="options.candidates",
            max_candidates=limits.max_candidates,
        )
    top_k = options.top_k or DEFAULT_TOP_K
    if options.candidates and options.candidates < top_k:
        raise InvalidRequestError(
            f"candidates is {options.candidates}, fewer than the {top_k} sequences that are asked for; ask for more "
            "candidates, or leave them out",
            reason=Reason.TOO_FEW_CANDIDATES,
            field="options.candidates",
        )
    damping_factor = options.damping_factor if options.HasField("damping_factor") else None
    check_damping(damping_factor, "options.damping_factor")
    return Asked(
        top_k=top_k,
        direction=_DIRECTIONS[options.direction],
        damping_factor=damping_factor,
        include_layers=options.include_layers,
        include_tokens=options.include_tokens,
        search=options.search,
        candidates=options.candidates or _default_candidates(options.search, top_k, limits),
        partial=options.return_partial_success,
        wanted=check_filter(options.filter) if options.HasField("filter") else None,
        layers=tuple(options.layers),
        query_rank=options.query_rank if options.HasField("query_rank") else None,
    )


def _default_candidates(search: attribution_pb2.Search.ValueType, top_k: int, limits: RequestLimits) -> int:
    if search == attribution_pb2.SEARCH_TFIDF_RERANK:
        return max(top_k, min(DEFAULT_TFIDF_CANDIDATES, limits.max_candidates))
    return max(DEFAULT_CANDIDATES, CANDIDATES_PER_HIT * top_k)


def choose_layers(patterns: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the layers that any of the patterns means, in order; none where all are meant.

    A pattern is a name, or has ``*``, ``?`` and ``[...]`` as file names do. Raises
    :class:`~whence.errors.InvalidRequestError`: ``UNKNOWN_LAYER`` for one that means no layer, ``TOO_MANY_LAYERS`` for
    more patterns that are no names than are worth matching with every layer.
    """
    chosen: set[int] = set()
    held = {name: index for index, name in enumerate(names)}
    wild = [number for number, pattern in enumerate(patterns) if pattern not in held]
    if len(wild) > MAX_PATTERNS:
        raise InvalidRequestError(
            f"{len(wild)} of the layers asked for are patterns; at most {MAX_PATTERNS} are taken: use wider ones",
            reason=Reason.TOO_MANY_LAYERS,
            field="options.layers",
            max_patterns=MAX_PATTERNS,
        )
    for number in wild:
        meant = _matching(patterns[number], names)
        if not meant:
            raise _unknown_layer(patterns[number], names, f"options.layers[{number}]")
        chosen |= meant
    chosen.update(held[pattern] for pattern in patterns if pattern in held)
    return () if len(chosen) == len(names) else tuple(sorted(chosen))


def _matching(pattern: str, names: Sequence[str]) -> set[int]:
    if len(pattern) > LONGEST_PATTERN:
        return set()
    return {index for index, name in enumerate(names) if fnmatchcase(name, pattern)}


def _unknown_layer(pattern: str, names: Sequence[str], field: str) -> InvalidRequestError:
    shown = pattern[:LONGEST_PATTERN]
    near = get_close_matches(shown, names, n=3, cutoff=0.3) or names[:3]
    return InvalidRequestError(
        f"{shown!r} is no layer of this model and no pattern of one; its {len(names)} layers have names such "
        f"as {', '.join(near)} (GetModel lists them)",
        reason=Reason.UNKNOWN_LAYER,
        field=field,
    )


def choose_rank(asked: int | None, queries: int, whole: int) -> int:
    """Return the rank to keep queries in, 0 for whole: as asked, or whole while there are no more than ``whole``.

    ``whole`` is 0 where nobody knows.
    """
    if asked is not None:
        return asked
    return DEFAULT_QUERY_RANK if whole and queries > whole else 0


@dataclass(frozen=True, kw_only=True)
class AskedGroups:
    """What makes a group, how many sequences are scored exactly and which draw, and which sequences count."""

    group_by: str
    samples: int
    seed: int
    wanted: attribution_pb2.Filter | None


def check_groups(request: attribution_service_pb2.GroupInfluenceRequest, limits: RequestLimits) -> AskedGroups:
    """Return what a request for groups asks for, or raise :class:`~whence.errors.InvalidRequestError`.

    Whether there is such a grouping the workers check.
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
    return AskedGroups(
        group_by=request.group_by or "source",
        samples=samples,
        seed=request.seed,
        wanted=check_filter(request.filter) if request.HasField("filter") else None,
    )


def check_filter(wanted: attribution_pb2.Filter) -> attribution_pb2.Filter | None:
    """Return the filter, ``None`` where it lets everything through; raise where it can let nothing through."""
    first, last = wanted.first_document_id, wanted.last_document_id
    if first and last and first > last:
        raise InvalidRequestError(
            f"the filter's documents begin with {first!r}, which sorts after their end {last!r}: ids are compared as "
            "text",
            reason=Reason.INVALID_FILTER,
            field="options.filter",
        )
    return wanted if wanted != attribution_pb2.Filter() else None


def check_damping(damping_factor: float | None, field: str) -> None:
    """Raise :class:`~whence.errors.InvalidRequestError` unless the damping factor is positive and of any use.

    Zero would divide by the eigenvalues, which may be zero, of directions that the training data does not have; and so
    does what is so small or so large that float32 cannot hold what comes of it.
    """
    if damping_factor is not None and not LEAST_DAMPING <= damping_factor <= MOST_DAMPING:
        raise InvalidRequestError(
            f"the damping factor is {damping_factor}; it is a positive multiple of each layer's mean corrected "
            f"eigenvalue, from {LEAST_DAMPING:g} to {MOST_DAMPING:g} (0.1 is usual)",
            reason=Reason.INVALID_DAMPING_FACTOR,
            field=field,
        )


def check_queries(queries: Sequence[query_pb2.Query], limits: RequestLimits) -> None:
    """Check the ``queries`` of a request, their number included."""
    if not queries:
        raise InvalidRequestError(
            "the request has no queries; send at least one", reason=Reason.MISSING_QUERIES, field="queries"
        )
    if len(queries) > limits.max_queries:
        raise InvalidRequestError(
            f"the request has {len(queries)} queries; this server takes at most {limits.max_queries} at once",
            reason=Reason.TOO_MANY_QUERIES,
            field="queries",
            max_queries=limits.max_queries,
        )
    for number, query in enumerate(queries):
        check_query(query, f"queries[{number}]")


def check_query(query: query_pb2.Query, field: str = "query") -> None:
    """Check one query; ``field`` is where the request has it."""
    if query.measurement not in _MEASUREMENTS:
        raise _unknown(Reason.UNKNOWN_MEASUREMENT, f"{field}.measurement", query.measurement)
    kind = query.WhichOneof("input")
    if kind == "text":
        _check_text(query.text, f"{field}.text")
    elif kind == "chat":
        _check_chat(query.chat, f"{field}.chat")
    elif kind == "tokens":
        _check_tokens(query.tokens, f"{field}.tokens")
    else:
        raise InvalidRequestError(
            "the query has no input; set one of text, chat and tokens",
            reason=Reason.MISSING_QUERY_INPUT,
            field=f"{field}.input",
        )


def check_lengths(queries: Sequence[query_pb2.Query], limits: model_pb2.Limits, fields: Sequence[str]) -> None:
    """Check how long queries are against the model's limits: in bytes, and in tokens those that are given as such.

    A limit of 0 is not known; the worker checks.
    """
    max_tokens, max_bytes = limits.max_query_tokens, limits.max_text_bytes
    for query, field in zip(queries, fields, strict=True):
        if max_bytes and (size := query.ByteSize()) > max_bytes:
            raise too_large_text(field, size, max_bytes)
        count = len(query.tokens.ids)
        if max_tokens and count > max_tokens:
            raise InvalidRequestError(
                f"the query has {count} tokens; this model takes at most {max_tokens}",
                reason=Reason.TOO_LONG_QUERY,
                field=f"{field}.tokens.ids",
                max_query_tokens=max_tokens,
            )


def check_sequences(selectors: Sequence[attribution_service_pb2.SequenceSelector], limits: RequestLimits) -> None:
    """Check the ``sequences`` of a Score request, their number included."""
    if not selectors:
        raise InvalidRequestError(
            "the request has no sequences; send at least one", reason=Reason.MISSING_SEQUENCES, field="sequences"
        )
    if len(selectors) > limits.max_score_sequences:
        raise InvalidRequestError(
            f"the request has {len(selectors)} sequences; this server takes at most "
            f"{limits.max_score_sequences} at once",
            reason=Reason.TOO_MANY_SEQUENCES,
            field="sequences",
            max_score_sequences=limits.max_score_sequences,
        )
    for number, selector in enumerate(selectors):
        check_sequence(selector, f"sequences[{number}]")


def check_self_influence(request: attribution_service_pb2.SelfInfluenceRequest, limits: RequestLimits) -> None:
    """Check a request for self-influence: of the corpus, by its index, or of given sequences."""
    damping_factor = request.damping_factor if request.HasField("damping_factor") else None
    check_damping(damping_factor, "damping_factor")
    if request.sequences:
        check_sequences(request.sequences, limits)
        if request.HasField("filter"):
            raise InvalidRequestError(
                "the request has both sequences and a filter; a filter chooses among the corpus: send one of them",
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


def check_sequence(selector: attribution_service_pb2.SequenceSelector, field: str = "sequence") -> None:
    """Check one sequence selector; ``field`` is where the request has it."""
    kind = selector.WhichOneof("selector")
    if kind is None:
        raise InvalidRequestError(
            "the sequence is not given; set one of sequence_id, text, completion and chat",
            reason=Reason.MISSING_SEQUENCE_REFERENCE,
            field=f"{field}.selector",
        )
    if kind == "completion":
        _check_text(selector.completion, f"{field}.completion")
    elif kind == "chat":
        _check_messages(selector.chat, f"{field}.chat")
    elif not getattr(selector, kind):
        raise InvalidRequestError(
            f"the sequence's {kind} is empty", reason=Reason.EMPTY_SEQUENCE_REFERENCE, field=f"{field}.{kind}"
        )


def _check_text(text: query_pb2.PromptCompletion, field: str) -> None:
    if not text.completion:
        raise _empty_completion(f"{field}.completion")


def _check_messages(chat: query_pb2.Chat, field: str) -> None:
    if not chat.messages:
        raise InvalidRequestError(
            "the conversation has no messages; send at least the assistant's",
            reason=Reason.EMPTY_CONVERSATION,
            field=f"{field}.messages",
        )
    for number, message in enumerate(chat.messages):
        if not message.role:
            raise InvalidRequestError(
                "the message has no role; give the one that the model's chat template knows",
                reason=Reason.MISSING_ROLE,
                field=f"{field}.messages[{number}].role",
            )


def _check_chat(chat: query_pb2.Chat, field: str) -> None:
    _check_messages(chat, field)
    last, place = chat.messages[-1], f"{field}.messages[{len(chat.messages) - 1}]"
    if last.role != "assistant":
        raise InvalidRequestError(
            f"the last message's role is {last.role!r}; it is the output that is attributed, so it must be 'assistant'",
            reason=Reason.INVALID_LAST_ROLE,
            field=f"{place}.role",
        )
    if not last.content and not last.fields_json:
        raise _empty_completion(f"{place}.content")


def _check_tokens(tokens: query_pb2.TokenIds, field: str) -> None:
    count = len(tokens.ids)
    if count < 2:
        raise InvalidRequestError(
            f"the query has {count} tokens; it needs at least one of context and one of output",
            reason=Reason.EMPTY_COMPLETION,
            field=f"{field}.ids",
        )
    if not 1 <= tokens.completion_start < count:
        raise InvalidRequestError(
            f"completion_start is {tokens.completion_start} for {count} tokens; it must be from 1 to {count - 1}",
            reason=Reason.INVALID_COMPLETION_START,
            field=f"{field}.completion_start",
        )


def _empty_completion(field: str) -> InvalidRequestError:
    return InvalidRequestError(
        "the completion is empty; it is the output that is attributed, so it must hold at least one token",
        reason=Reason.EMPTY_COMPLETION,
        field=field,
    )


def _unknown(reason: str, field: str, value: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"{field} is {value}, which this server does not know; leave it out for the default, or update the server",
        reason=reason,
        field=field,
    )
