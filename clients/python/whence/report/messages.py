"""Results from messages in JSON: a request and its answer, as the page of `whence explore` keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message

from whence import parsing
from whence.conversations import ChatInput, ChatMessage
from whence.errors import InternalError, InvalidRequestError
from whence.queries import Query
from whence.reasons import Reason
from whence.saved import Asked, Result, Saved
from whence.v1 import attribution_service_pb2 as service
from whence.v1 import query_pb2

# By a field that only this answer has: the messages, and how the answer becomes a result, given the request.
_KINDS: Final[dict[str, tuple[type[Message], type[Message], Callable[[Any, Any], Result]]]] = {
    "attribution": (service.AttributeRequest, service.AttributeResponse, lambda answer, _: parsing.attribution(answer)),
    "parts": (service.ExplainRequest, service.ExplainResponse, lambda answer, _: parsing.explanation(answer)),
    "groups": (
        service.GroupInfluenceRequest,
        service.GroupInfluenceResponse,
        lambda answer, _: parsing.group_influences(answer),
    ),
    "influence": (
        service.ScoreRequest,
        service.ScoreResponse,
        lambda answer, request: parsing.score_table(answer, [query.query_id for query in request.queries]),
    ),
}


def is_exchange(document: object) -> bool:
    """Return whether a JSON value is a request with its answer."""
    return isinstance(document, Mapping) and isinstance(document.get("answer"), Mapping)


def exchange(document: Mapping[str, Any], name: str = "") -> Saved:
    """Return the result of ``{"request": …, "answer": …}``, both in protobuf's JSON. ``name`` is for messages.

    Fields of later versions are left out. Raises :class:`~whence.errors.InvalidRequestError` (``UNREADABLE_RESULT``)
    for anything else.
    """
    answer, request = document["answer"], document.get("request") or {}
    kind = next((kind for field, kind in _KINDS.items() if field in answer), None)
    if kind is None:
        raise _unreadable(name, f"the answer has the fields {', '.join(map(str, list(answer)[:8])) or '(none)'}")
    request_kind, answer_kind, result = kind
    try:
        asked: Any = json_format.ParseDict(request, request_kind(), ignore_unknown_fields=True)
        message = json_format.ParseDict(answer, answer_kind(), ignore_unknown_fields=True)
        return Saved(result=result(message, asked), asked=_asked(asked), name=name)
    except (json_format.ParseError, InternalError, InvalidRequestError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(name, str(error)) from error


def _asked(request: Any) -> Asked:  # noqa: ANN401 - a request of any method
    queries = [request.query] if hasattr(request, "query") else list(request.queries)
    options: dict[str, Any] = {}
    if hasattr(request, "options"):
        options = json_format.MessageToDict(request.options, preserving_proto_field_name=True)
    plain = {name: _shown(name, value) for name, value in options.items()}
    return Asked(query=_query(queries[0]) if len(queries) == 1 else None, options=plain)


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - an option's value
    """Return a value with the name of an enum's in short: both of DIRECTION_BOTH."""
    prefix = f"{name.upper()}_"
    return value.removeprefix(prefix).lower() if isinstance(value, str) and value.startswith(prefix) else value


def _query(proto: query_pb2.Query) -> Query | None:
    match proto.WhichOneof("input"):
        case "text":
            return Query.text(proto.text.prompt, proto.text.completion, query_id=proto.query_id)
        case "chat":
            return Query(input=_chat(proto.chat), query_id=proto.query_id)
        case "tokens":
            return Query.tokens(proto.tokens.ids, proto.tokens.completion_start, query_id=proto.query_id)
    return None


def _chat(proto: query_pb2.Chat) -> ChatInput:
    messages = tuple(
        ChatMessage(
            role=message.role,
            content=message.content,
            fields_json=message.fields_json,
            trained_on=message.trained_on if message.HasField("trained_on") else None,
        )
        for message in proto.messages
    )
    return ChatInput(
        messages=messages,
        tools_json=proto.tools_json,
        template_arguments_json=proto.template_arguments_json,
        date=proto.date,
        strict=proto.strict,
    )


def _unreadable(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name or 'this'} holds no answer with its request: {why}; expected what the page of whence explore keeps",
        reason=Reason.UNREADABLE_RESULT,
        field="answers",
    )
