"""Conversations in requests, and warnings of those that the chat template does not render in full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from whence.errors import InvalidRequestError
from whence.reasons import Reason, WarningCode
from whence.v1 import attribution_pb2, query_pb2
from whence_backends.models.text.chat import RenderedChat
from whence_backends.models.text.conversation import Conversation, ConversationError, parse_conversation


def conversation_of(chat: query_pb2.Chat, field: str) -> Conversation:
    """Return the conversation of a message; :class:`~whence.errors.InvalidRequestError` where it is malformed."""
    if not chat.messages:
        return Conversation(messages=())  # which the renderer refuses
    messages = [_message(message, f"{field}.messages[{number}]") for number, message in enumerate(chat.messages)]
    try:
        parsed = parse_conversation(
            messages, tools=chat.tools_json or None, settings=chat.template_arguments_json or None
        )
    except ConversationError as error:
        raise InvalidRequestError(
            f"the conversation {error}", reason=Reason.INVALID_CONVERSATION, field=f"{field}.messages"
        ) from error
    return replace(parsed, date=chat.date)


def marks_of(chat: query_pb2.Chat) -> dict[int, bool]:
    """Return the marks of the messages that state whether they were trained on, by number from 0."""
    messages = enumerate(chat.messages)
    return {number: message.trained_on for number, message in messages if message.HasField("trained_on")}


def warnings_of(rendered: RenderedChat, chat: query_pb2.Chat, field: str) -> tuple[attribution_pb2.Warning, ...]:
    """Return warnings of what the template leaves out; raise ``CONVERSATION_INCOMPLETE`` if the chat is strict."""
    if not rendered.lost and not rendered.tools_lost:
        return ()
    parts: Sequence[object] = rendered.lost or ["the tools that were offered"]
    shown = ", ".join(map(str, parts[:3])) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")
    message = f"the model's chat template leaves out {shown}: what is measured lacks it"
    if chat.strict and rendered.lost:
        raise InvalidRequestError(
            f"{message}; send the text as it was, as prompt and completion, or leave out strict",
            reason=Reason.CONVERSATION_INCOMPLETE,
            field=f"{field}.messages",
        )
    return (attribution_pb2.Warning(code=WarningCode.CONVERSATION_INCOMPLETE, message=f"{message} ({field})"),)


def _message(message: query_pb2.ChatMessage, field: str) -> dict[str, Any]:
    fields: Any = {}
    if message.fields_json:
        try:
            fields = json.loads(message.fields_json)
        except (ValueError, RecursionError) as error:
            raise _not_an_object(field, str(error)) from error
    if not isinstance(fields, dict):
        raise _not_an_object(field, f"it is a {type(fields).__name__}")
    return {"content": message.content, **fields, "role": message.role}


def _not_an_object(field: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f'fields_json is no JSON object: {why}; expected one such as {{"tool_calls": [...]}}',
        reason=Reason.INVALID_CONVERSATION,
        field=f"{field}.fields_json",
    )
