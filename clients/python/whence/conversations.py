"""Conversations: messages with all their fields, offered tools, and variables of the chat template."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from whence._messages import build
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import query_pb2

# (role, content), or a mapping with role, content and any other field that the chat template reads.
Message = Mapping[str, Any] | tuple[str, str]

_TRAINED_ON: Final = "trained_on"


@dataclass(frozen=True, kw_only=True)
class ChatMessage:
    """A message. ``fields_json`` has its other fields; ``trained_on`` is None where the message does not say."""

    role: str
    content: str
    fields_json: str = ""
    trained_on: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the message with all its fields, as a chat template reads it."""
        others = json.loads(self.fields_json) if self.fields_json else {}
        content = {} if "content" in others else {"content": self.content}
        trained_on = {} if self.trained_on is None else {_TRAINED_ON: self.trained_on}
        return {"role": self.role, **content, **others, **trained_on}

    def to_proto(self, field: str) -> query_pb2.ChatMessage:
        """Return the message. Raises ``InvalidRequestError`` for a value that cannot be sent."""
        return build(query_pb2.ChatMessage, field, **vars(self))


@dataclass(frozen=True, kw_only=True)
class ChatInput:
    """A conversation; in a query the last message is the output. :meth:`whence.Query.chat` describes the fields."""

    messages: tuple[ChatMessage, ...]
    tools_json: str = ""
    template_arguments_json: str = ""
    date: str = ""
    strict: bool = False

    @classmethod
    def of(
        cls,
        messages: Iterable[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None,
        template_arguments: Mapping[str, Any] | None,
        date: str,
        strict: bool,
        field: str,
    ) -> ChatInput:
        """Return the conversation. Raises ``InvalidRequestError``, with the ``field``, for other values."""
        if isinstance(messages, str) or not isinstance(messages, Iterable):
            raise _malformed(messages, f"{field}.messages")
        return cls(
            messages=tuple(_message(message, f"{field}.messages") for message in messages),
            tools_json=_json(list(tools), f"{field}.tools_json") if tools else "",
            template_arguments_json=(
                _json(dict(template_arguments), f"{field}.template_arguments_json") if template_arguments else ""
            ),
            date=date,
            strict=strict,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments of :meth:`whence.Query.chat`: those that say anything."""
        fields = {
            "messages": [message.to_dict() for message in self.messages],
            "tools": json.loads(self.tools_json) if self.tools_json else None,
            "template_arguments": json.loads(self.template_arguments_json) if self.template_arguments_json else None,
            "date": self.date,
            "strict": self.strict,
        }
        return {name: value for name, value in fields.items() if value}

    def to_proto(self, field: str) -> query_pb2.Chat:
        """Return the message. Raises ``InvalidRequestError`` for a value that cannot be sent."""
        messages = [message.to_proto(f"{field}.messages[{place}]") for place, message in enumerate(self.messages)]
        return build(query_pb2.Chat, field, **{**vars(self), "messages": messages})


def _message(message: Message, field: str) -> ChatMessage:
    given: dict[str, Any] = {}
    with suppress(TypeError, ValueError):  # wrong types are refused below
        given = dict(message) if isinstance(message, Mapping) else dict(zip(("role", "content"), message, strict=True))
    role, content, trained_on = given.pop("role", None), given.get("content"), given.pop(_TRAINED_ON, None)
    if isinstance(content, str):
        del given["content"]
    is_whole = isinstance(content, str) or _has_other_content(given)
    if not isinstance(role, str) or not is_whole or not isinstance(trained_on, bool | None):
        raise _malformed(message, field)
    return ChatMessage(
        role=role,
        content=content if isinstance(content, str) else "",
        fields_json=_json(given, field) if given else "",
        trained_on=trained_on,
    )


def _has_other_content(given: Mapping[str, Any]) -> bool:
    """Return whether a message without text has other content: text parts, tool calls, reasoning."""
    content = given.get("content")
    return isinstance(content, list) or (content is None and any(given.values()))


def _malformed(message: object, field: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"got the message {message!r:.200}: each needs a 'role' and a 'content', both text, or parts of text, or a "
        "tool call instead; 'trained_on' is True or False",
        reason=Reason.INVALID_CONVERSATION,
        field=field,
    )


def _json(value: Any, field: str) -> str:  # noqa: ANN401 - whatever a template reads
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"{field} cannot be sent: {error}; expected values of JSON",
            reason=Reason.INVALID_CONVERSATION,
            field=field,
        ) from error
