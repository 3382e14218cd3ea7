"""The parts of a message: finding them in a rendered text, and replacing them by other words."""

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
    """A part of message ``message`` (from 1) that the rendered conversation lacks."""

    message: int
    text: str

    def __str__(self) -> str:
        text = self.text.strip()
        shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
        return f"{shown!r} of message {self.message}"


def held(message: Message) -> list[str]:
    """Return the texts of a message: reasoning, content, and the names and arguments of tool calls."""
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
    """Return the parts of message ``number`` that ``shown`` lacks, ignoring white space.

    Each part must occur at a place of its own, so that a short one is not found within another. If a part begins or
    ends with ``words``, only the rest is reported.
    """
    left = _squeezed(shown)
    lost = []
    for text in sorted(held(message), key=len, reverse=True):
        shown_form = next((form for form in map(_squeezed, _forms(text)) if form in left), None)
        if shown_form is None:
            lost.append(LostPart(message=number, text=_without(text, words)))
        else:
            left = left.replace(shown_form, "\0", 1)
    return lost


def in_other_words(message: Message, word: str, *, names: bool = False) -> Message:
    """Return the message with each of its texts replaced by ``word``. An empty message gets content.

    Names of called tools are replaced only if ``names`` is true: templates repeat them before the tool's answer.
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
    """Return the message with ``word`` as its content."""
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
    """Return the scalars in a JSON value as texts, including the keys of objects."""
    if isinstance(value, Mapping):
        return [text for key, item in value.items() for text in (str(key), *_scalars(item))]
    if isinstance(value, list):
        return [text for item in value for text in _scalars(item)]
    if value is None:
        return []
    return [value if isinstance(value, str) else json.dumps(value)]


def _decoded(arguments: Any) -> Any:  # noqa: ANN401
    """Parse arguments given as JSON text, since templates write them with other spacing."""
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return arguments


def _forms(text: str) -> Iterable[str]:
    """Yield the forms in which templates write a text: unchanged, within JSON, within HTML, and JSON's true as True."""
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
