"""What a message says, part by part: to find all of it in a rendered text, and to put other words in its place."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from whence_backends.models.text.conversation import REASONING, Message

_SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True, kw_only=True)
class LostPart:
    """Something that message ``message`` (counted from 1) holds and the rendered conversation does not show."""

    message: int
    text: str

    def __str__(self) -> str:
        text = self.text.strip()
        shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
        return f"{shown!r} of message {self.message}"


def held(message: Message) -> list[str]:
    """Return the texts that a message holds: reasoning, content, and of tool calls the names and arguments."""
    content = message.get("content")
    parts = [part["text"] for part in content] if isinstance(content, list) else [content]
    reasoning = next((message[name] for name in REASONING if message.get(name)), None)
    texts = [text for text in (reasoning, *parts) if isinstance(text, str)]
    for call in message.get("tool_calls", ()):
        function = call.get("function", call)
        if isinstance(function, dict):
            texts += _scalars([function.get("name"), _decoded(function.get("arguments"))])
    return [text for text in texts if text.strip()]


def missing(message: Message, shown: str, number: int, *, words: str = "") -> list[LostPart]:
    """Return what message ``number`` holds and ``shown`` has not, white space aside.

    Each part must have a place of its own, so that a short one is not found within another. Of a part whose beginning
    or end is ``words``, only the rest is named.
    """
    left = _squeezed(shown)
    lost = []
    for text in sorted(held(message), key=len, reverse=True):
        found = next((form for form in map(_squeezed, _forms(text)) if form in left), None)
        if found is None:
            lost.append(LostPart(message=number, text=_without(text, words)))
        else:
            left = left.replace(found, "\0", 1)
    return lost


def in_other_words(message: Message, word: str, *, names: bool = False) -> Message:
    """Return the message with ``word`` for each text it holds, and otherwise as it is. An empty one gets content.

    The ``names`` of called tools stay, unless they are asked for: templates repeat them before the tool's answer.
    """
    changed: dict[str, Any] = dict(message)
    content = message.get("content")
    if isinstance(content, list):
        changed["content"] = [{**part, "text": word} if part["text"].strip() else part for part in content]
    elif isinstance(content, str) and content.strip():
        changed["content"] = word
    changed |= {name: word for name in REASONING if message.get(name)}
    if message.get("tool_calls"):
        changed["tool_calls"] = [_called_otherwise(call, word, names) for call in message["tool_calls"]]
    if not held(message):
        changed["content"] = [{"type": "text", "text": word}] if isinstance(content, list) else word
    return changed


def with_content(message: Message, word: str) -> Message:
    """Return the message with ``word`` as its content, and otherwise as it is."""
    is_parts = isinstance(message.get("content"), list)
    return {**message, "content": [{"type": "text", "text": word}] if is_parts else word}


def _called_otherwise(call: Mapping[str, Any], word: str, names: bool) -> Mapping[str, Any]:
    function = call.get("function", call)
    if not isinstance(function, dict):
        return call
    changed = {**function, "name": word} if names else {**function}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        changed["arguments"] = word
    elif isinstance(arguments, dict):
        texts = {key: word for key, value in arguments.items() if isinstance(value, str) and value.strip()}
        changed["arguments"] = arguments | (texts or {"argument": word})
    return {**call, "function": changed} if "function" in call else changed


def _scalars(value: Any) -> list[str]:  # noqa: ANN401
    """Return the scalars in a value of JSON's kinds as texts, keys of objects included."""
    if isinstance(value, Mapping):
        return [text for key, item in value.items() for text in (str(key), *_scalars(item))]
    if isinstance(value, list):
        return [text for item in value for text in _scalars(item)]
    if value is None:
        return []
    return [value if isinstance(value, str) else json.dumps(value)]


def _decoded(arguments: Any) -> Any:  # noqa: ANN401
    """Return arguments that are JSON text as what they say: templates write them anew, with other spaces."""
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return arguments


def _forms(text: str) -> Iterable[str]:
    """Yield how templates write a text: as it is, within JSON, within HTML; and JSON's true as Python's True."""
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield html.escape(text)
    if text in ("true", "false"):
        yield text.capitalize()


def _without(text: str, words: str) -> str:
    shown, whole = words.strip(), text.strip()
    if whole.endswith(shown):
        return whole.removesuffix(shown)
    return whole.removeprefix(shown)


def _squeezed(text: str) -> str:
    return "".join(text.split())
