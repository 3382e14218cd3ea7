"""The queries, examples and filters that options and files give."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from whence.errors import InvalidRequestError
from whence.examples import TrainingExample
from whence.filters import Filter
from whence.queries import Query
from whence.reasons import Reason


def query(
    prompt: str | None, prompt_file: Path | None, completion: str | None, chat: Path | None, *, strict: bool = False
) -> Query:
    """Return the query of the options. Raises a usage error unless they give exactly one."""
    if chat is not None:
        if prompt is not None or prompt_file is not None or completion is not None:
            raise typer.BadParameter("--chat has the whole conversation: leave out --prompt and --completion")
        return Query.chat(**conversation(read_text(chat, "chat"), str(chat)), strict=strict)
    if completion is None:
        raise typer.BadParameter("give the output with --completion (and --prompt), or with --chat")
    if prompt is not None and prompt_file is not None:
        raise typer.BadParameter("give one of --prompt and --prompt-file")
    context = read_text(prompt_file, "prompt_file") if prompt_file is not None else prompt or ""
    return Query.text(context, completion)


def conversation(text: str, name: str) -> dict[str, Any]:
    """Return the arguments of :meth:`Query.chat` in JSON: a list of messages, or an object with them and ``tools``."""
    document = _json(text, name)
    messages = document.get("messages") if isinstance(document, dict) else document
    if not isinstance(messages, list):
        raise InvalidRequestError(
            f"{name} holds no list of messages: expected [{{'role': …, 'content': …}}, …]",
            reason=Reason.MISSING_MESSAGES,
            field="chat",
        )
    fields = document if isinstance(document, dict) else {}
    date = fields.get("date")
    return {
        "messages": messages,
        "tools": fields.get("tools"),
        "template_arguments": fields.get("template_arguments", fields.get("chat_template_kwargs")),
        "date": date if isinstance(date, str) else "",
    }


def example(path: Path) -> TrainingExample:
    """Return the training example of a JSON file: a text, a prompt and completion, or a conversation."""
    text, name = read_text(path, "example"), str(path)
    document = _json(text, name)
    if isinstance(document, str):
        return TrainingExample.text(document)
    if isinstance(document, dict) and isinstance(document.get("text"), str):
        return TrainingExample.text(document["text"])
    if isinstance(document, dict) and all(isinstance(document.get(key), str) for key in ("prompt", "completion")):
        return TrainingExample.completion(document["prompt"], document["completion"])
    return TrainingExample.chat(**conversation(text, name))


def _json(text: str, name: str) -> Any:  # noqa: ANN401 - whatever a file holds
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{name} is not JSON: {error}", reason=Reason.INVALID_JSON, field="chat") from error


def read_text(path: Path, field: str) -> str:
    """Return a file's text, unchanged but for a byte order mark. ``-`` is the standard input."""
    content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start : error.start + 1].hex()
        raise InvalidRequestError(
            f"{path} is not UTF-8 text: its byte {error.start} is 0x{byte}; convert it, as with iconv -t utf-8",
            reason=Reason.INVALID_TEXT,
            field=field,
        ) from error


def only(sources: list[str] | None, where: list[str] | None, document: str | None) -> Filter | None:
    """Return the filter of the options, if there is one. Raises a usage error for a condition without a value."""
    if not sources and not where and not document:
        return None
    metadata: dict[str, str] = {}
    for condition in where or ():
        name, equals, value = condition.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--where {condition!r}: expected NAME=VALUE, such as year=1908")
        if metadata.setdefault(name, value) != value:
            raise typer.BadParameter(
                f"--where {name!r} is given as {metadata[name]!r} and as {value!r}: a name has one value"
            )
        metadata[name] = value
    return Filter(
        sources=sources or (),
        metadata=metadata,
        first_document_id=document or "",
        last_document_id=document or "",
    )
