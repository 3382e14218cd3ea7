"""The query of a sample: its last output after the messages before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageTool, ContentReasoning, ContentText
from inspect_ai.tool import ToolCall

from whence.errors import InvalidRequestError
from whence.queries import Query
from whence.reasons import Reason

PromptFormat = Literal["chat", "text"]
FORMATS: Final = ("chat", "text")


def query_of(
    messages: Sequence[ChatMessage],
    prompt_format: PromptFormat,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    query_id: str = "",
) -> Query:
    """Return the query of the last message of the assistant; what follows it is left out.

    As ``chat`` the served model's own chat template is applied, and ``tools`` are those offered to the model. As
    ``text``, for base models, the output comes after the texts of the other messages, joined by line ends.

    Raises ``InvalidRequestError`` where there is no output, or a message has more than text, reasoning and tool calls.
    """
    output = max((place for place, message in enumerate(messages) if message.role == "assistant"), default=None)
    if output is None:
        raise InvalidRequestError(
            "the sample has no message of the assistant", reason=Reason.EMPTY_CONVERSATION, field="messages"
        )
    until_output = messages[: output + 1]
    if prompt_format == "text":
        *before, completion = [_text(message, place) for place, message in enumerate(until_output)]
        return Query.text("\n".join(before), completion, query_id=query_id)
    conversation = [_fields(message, place) for place, message in enumerate(until_output)]
    if not conversation[-1]["content"] and "tool_calls" not in conversation[-1]:
        raise InvalidRequestError("the output is empty", reason=Reason.EMPTY_COMPLETION, field=f"messages[{output}]")
    return Query.chat(conversation, tools=tools or None, query_id=query_id)


def _text(message: ChatMessage, place: int) -> str:
    return str(_fields(message, place)["content"])


def _fields(message: ChatMessage, place: int) -> dict[str, Any]:
    """Return a message as chat templates take it."""
    content, reasoning = _content(message, place)
    fields: dict[str, Any] = {"role": message.role, "content": content}
    if reasoning:
        fields["reasoning_content"] = reasoning
    if isinstance(message, ChatMessageAssistant) and message.tool_calls:
        fields["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if isinstance(message, ChatMessageTool):
        named = {"tool_call_id": message.tool_call_id, "name": message.function}
        fields |= {name: value for name, value in named.items() if value}
    return fields


def _content(message: ChatMessage, place: int) -> tuple[str, str]:
    """Return the text of a message, and its reasoning."""
    if isinstance(message.content, str):
        return message.content, ""
    for part in message.content:
        if not isinstance(part, ContentText | ContentReasoning):
            raise InvalidRequestError(
                f"message {place + 1}, of the {message.role}, has a part of type {part.type!r}: only text will do",
                reason=Reason.INVALID_CONVERSATION,
                field=f"messages[{place}].content",
            )
    text = "".join(part.text for part in message.content if isinstance(part, ContentText))
    return text, "".join(part.reasoning for part in message.content if isinstance(part, ContentReasoning))


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.function, "arguments": call.arguments}}
