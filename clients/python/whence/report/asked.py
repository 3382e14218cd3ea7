"""What was asked: the text before the output, the output, and the options."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from whence.conversations import ChatInput, ChatMessage
from whence.display.markup import Markup, element, joined
from whence.queries import Query, TextInput, TokenInput
from whence.report.about import fact_line
from whence.saved import Asked

# So many characters of a text are shown, so many of a turn before the output at once; the beginning goes first.
_LONGEST: Final = 20_000
_AT_ONCE: Final = 700
_TOKENS: Final = 400


def exchange(query: Query | None) -> Markup:
    """Return the query as turns, the output last and framed; nothing where it is not known."""
    if query is None:
        return joined()
    return element("div", *_turns(query), class_="exchange")


def _turns(query: Query) -> Iterator[Markup]:
    match query.input:
        case TextInput(prompt=prompt, completion=completion):
            if prompt:
                yield turn("prompt", prompt)
            yield turn("output", completion, is_output=True)
        case ChatInput(messages=messages):
            for place, message in enumerate(messages):
                yield turn(message.role, _written(message), is_output=place == len(messages) - 1)
        case TokenInput(ids=ids, completion_start=start):
            yield turn("token ids", _numbers(ids[:start]))
            yield turn("output", _numbers(ids[start:]), is_output=True)


def turn(role: str, content: str, *, is_output: bool = False) -> Markup:
    """Return a turn. Of a long output the beginning is shown, of others the end; the rest on demand."""
    body = _text(content)
    if len(content) > _AT_ONCE + 200:
        at_once, most = (_part(content, size, beginning=is_output) for size in (_AT_ONCE, _LONGEST))
        rest = element("details", element("summary", f"All {len(content):,} characters"), _text(most))
        body = joined(_text(at_once), rest)
    return element(
        "div",
        element("div", role, class_="role"),
        element("div", body),
        class_="turn output" if is_output else "turn",
    )


def options(asked: Asked) -> Markup:
    """Return when it was asked, with which options."""
    date = [f"asked {asked.date.replace('T', ' ').replace('+00:00', ' UTC')}"] if asked.date else []
    given = [f"{name.replace('_', ' ')}: {_value(value)}" for name, value in asked.options.items() if value is not True]
    return fact_line([*date, *given]) if date or given else joined()


def label(query: Query | None, fallback: str) -> str:
    """Return a short name of a query: its id, or the end of its text."""
    if query is None or query.query_id:
        return fallback if query is None else query.query_id
    match query.input:
        case TextInput(prompt=prompt, completion=completion):
            whole = f"{prompt}{completion}"
        case ChatInput(messages=messages):
            whole = messages[-1].content
        case _:
            return fallback
    words = " ".join(whole.split())
    return words if len(words) <= 90 else f"… {words[-90:]}"


def _part(content: str, size: int, *, beginning: bool) -> str:
    if len(content) <= size:
        return content
    return f"{content[:size]}…" if beginning else f"…{content[-size:]}"


def _text(content: str) -> Markup:
    return element("p", content, class_="text", dir="auto")


def _written(message: ChatMessage) -> str:
    others = {name: value for name, value in message.to_dict().items() if name not in ("role", "content") and value}
    content = message.to_dict()["content"]
    shown = content if isinstance(content, str) else "" if content is None else _json(content)
    return "\n".join([*([shown] if shown else []), *(f"{name}: {_json(value)}" for name, value in others.items())])


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False)


def _value(value: Any) -> str:  # noqa: ANN401 - an option's value
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).replace("_", " ") if isinstance(value, str) else f"{value}"


def _numbers(ids: tuple[int, ...]) -> str:
    shown = " ".join(map(str, ids[:_TOKENS]))
    return f"{shown} … ({len(ids):,} in all)" if len(ids) > _TOKENS else shown
