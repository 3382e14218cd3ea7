"""Parsing conversations in their common forms into the form that chat templates expect.

Messages have ``role`` and ``content``, or ShareGPT's ``from`` and ``value``. Content is text, a list of text parts, or
null beside tool calls. All other fields of a message (tool calls, reasoning, names) are passed to the template.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

Message = Mapping[str, Any]

ASSISTANT: Final = "assistant"

# The names of the reasoning field. Templates read any of them, so a message with one is given all.
REASONING: Final = ("reasoning_content", "reasoning", "thinking")

_SHAREGPT_ROLES: Final = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": ASSISTANT,
    "assistant": ASSISTANT,
    "chatgpt": ASSISTANT,
    "bing": ASSISTANT,
    "bard": ASSISTANT,
    "model": ASSISTANT,
    "function_call": ASSISTANT,
    "observation": "tool",
    "tool": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}


@final
class ConversationError(ValueError):
    """An invalid conversation. The message completes a sentence such as "the conversation has no messages"."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """``messages`` and ``tools`` as chat templates take them; ``settings`` are further variables of the template.

    A message without ``content`` had null content. ``date`` is the date given to the template; empty: the renderer's.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""

    @property
    def assistant_turns(self) -> tuple[int, ...]:
        """The indices of the assistant's messages."""
        return tuple(number for number, message in enumerate(self.messages) if message["role"] == ASSISTANT)


def parse_conversation(
    messages: Any,  # noqa: ANN401 - whatever a cell of a table can hold
    *,
    name: str = "messages",
    tools: Any = None,  # noqa: ANN401
    system: Any = None,  # noqa: ANN401
    settings: Any = None,  # noqa: ANN401
) -> Conversation:
    """Parse the conversation of a row or a request. Lists and objects may be given as JSON text.

    ``name`` is the name of the messages in errors, ``system`` the system message, which ShareGPT rows have in a
    separate column. Raises :class:`ConversationError`.
    """
    values = _list(messages, name)
    if not values:
        raise ConversationError("has no messages")
    if not all(isinstance(value, dict) for value in values):
        raise ConversationError(f"has a message in {name!r} that is not an object with role and content")
    parsed = [_message(value, number) for number, value in enumerate(values, start=1)]
    if isinstance(system, str) and system and parsed[0]["role"] != "system":
        parsed.insert(0, {"role": "system", "content": system})
    offered = () if tools in (None, "", []) else tuple(_list(tools, "tools"))
    if not all(isinstance(tool, dict) for tool in offered):
        raise ConversationError("has a tool that is not an object")
    variables = {} if settings in (None, "") else _decoded(settings, "chat_template_kwargs")
    if not isinstance(variables, dict):
        raise ConversationError(f"has a {type(variables).__name__} as 'chat_template_kwargs'; expected an object")
    conversation = Conversation(messages=tuple(parsed), tools=offered, settings=variables)
    if any(not _is_text(text) for text in strings([parsed, list(offered), variables])):
        raise ConversationError("has half a surrogate pair in a message, which is not text")
    return conversation


def is_sharegpt(messages: Any) -> bool:  # noqa: ANN401
    """Return true for messages with ShareGPT's ``from`` and ``value``."""
    return isinstance(messages, list) and bool(messages) and isinstance(messages[0], dict) and "from" in messages[0]


def strings(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield every text in a JSON value, including the keys of objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def _message(value: dict[str, Any], number: int) -> dict[str, Any]:
    given = {str(key): item for key, item in value.items() if item is not None}
    message = _from_sharegpt(given, number) if "from" in given and "role" not in given else dict(given)
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise ConversationError(f"has no column 'role' in message {number} (it has {', '.join(value) or 'none'})")
    _take_calls(message, number)
    reasoning = next((message[name] for name in REASONING if message.get(name)), None)
    if isinstance(reasoning, str):
        message |= dict.fromkeys(REASONING, reasoning)
    if "content" in message:
        message["content"] = _content(message["content"], number)
    elif "content" not in value and not (role == ASSISTANT and (reasoning or message.get("tool_calls"))):
        raise ConversationError(f"has no column 'content' in message {number} (it has {', '.join(value)})")
    elif role != ASSISTANT:
        raise ConversationError(f"has a NoneType as 'content' of message {number} ({role}); expected text")
    return message


def _content(content: Any, number: int) -> str | list[dict[str, Any]]:  # noqa: ANN401
    """Return the content: text, or a list of text parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ConversationError(
            f"has a {type(content).__name__} as 'content' of message {number}; expected text or a list of text parts"
        )
    return [_part(part, number) for part in content]


def _part(part: Any, number: int) -> dict[str, Any]:  # noqa: ANN401
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, dict):
        kind = part.get("type") or "text"
        if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
            return {"type": "text", "text": part["text"]}
        raise ConversationError(f"has a part of type {kind!r} in message {number}; only text can be rendered")
    raise ConversationError(f"has a {type(part).__name__} as a part of message {number}; expected text")


def _take_calls(message: dict[str, Any], number: int) -> None:
    """Normalize the tool calls of a message to a list, including OpenAI's former ``function_call``."""
    if isinstance(message.get("function_call"), dict) and "tool_calls" not in message:
        message["tool_calls"] = [{"type": "function", "function": message.pop("function_call")}]
    if "tool_calls" not in message:
        return
    calls = _list(message["tool_calls"], f"tool_calls of message {number}")
    if not all(isinstance(call, dict) for call in calls):
        raise ConversationError(f"has a tool call that is not an object in message {number}")
    message["tool_calls"] = calls
    if not calls:
        del message["tool_calls"]


def _from_sharegpt(given: Mapping[str, Any], number: int) -> dict[str, Any]:
    name = given["from"]
    if name not in _SHAREGPT_ROLES:
        raise ConversationError(
            f"has the speaker {name!r} in message {number}; expected one of {', '.join(_SHAREGPT_ROLES)}"
        )
    message = {key: item for key, item in given.items() if key not in ("from", "value")}
    message["role"] = _SHAREGPT_ROLES[name]
    if "value" not in given:
        raise ConversationError(f"has no column 'value' in message {number} (it has {', '.join(given)})")
    if name == "function_call":
        return message | {"content": "", "tool_calls": _calls_of_sharegpt(given["value"], number)}
    return message | {"content": given["value"]}


def _calls_of_sharegpt(value: Any, number: int) -> list[dict[str, Any]]:  # noqa: ANN401
    calls = _decoded(value, f"function_call of message {number}")
    calls = calls if isinstance(calls, list) else [calls]
    if not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        raise ConversationError(f"has a function_call without a name in message {number}")
    return [{"type": "function", "function": call} for call in calls]


def _list(value: Any, name: str) -> list[Any]:  # noqa: ANN401
    decoded = _decoded(value, name) if isinstance(value, str) else value
    if not isinstance(decoded, list):
        raise ConversationError(f"has a {type(decoded).__name__} as {name}; expected a list")
    return decoded


def _decoded(value: Any, name: str) -> Any:  # noqa: ANN401
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ConversationError(f"has {name} that are not JSON: {error}") from error


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
