"""Checks of queries, without a tokenizer: what needs one (a text that is too long) the workers check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import model_pb2, query_pb2
from whence_service.frontend.request.fields import unknown_value
from whence_service.frontend.request.limits import RequestLimits
from whence_service.rpc.bounds import too_large_text

_MEASUREMENTS: Final = (
    query_pb2.MEASUREMENT_UNSPECIFIED,
    query_pb2.MEASUREMENT_COMPLETION_LOG_LIKELIHOOD,
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
        raise unknown_value(Reason.UNKNOWN_MEASUREMENT, f"{field}.measurement", query.measurement)
    kind = query.WhichOneof("input")
    if kind == "text":
        check_text(query.text, f"{field}.text")
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
    """Check the lengths of queries against the model's limits: in bytes, and token ids in tokens.

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


def check_text(text: query_pb2.PromptCompletion, field: str) -> None:
    """Check that a prompt has a completion."""
    if not text.completion:
        raise _empty_completion(f"{field}.completion")


def check_messages(chat: query_pb2.Chat, field: str) -> None:
    """Check that a conversation has messages, and each message a role."""
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
    check_messages(chat, field)
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
