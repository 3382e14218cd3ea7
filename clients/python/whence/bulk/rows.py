"""From rows to queries, with the columns that come along."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from whence.bulk.files import Row, invalid_row
from whence.errors import InvalidRequestError, WhenceError
from whence.queries import Query

_ID: Final = ("query_id", "id")
_EXPECTED: Final = "expected prompt and completion, messages, or token_ids and completion_start"


@dataclass(frozen=True, kw_only=True)
class QueryRow:
    """A row that asks: its number, its query's id, the query or why there is none, and its other columns.

    ``digest`` is of all its fields: a row that has changed has another.
    """

    number: int
    query_id: str
    columns: dict[str, Any]
    digest: str
    query: Query | None = None
    error: WhenceError | None = None


def query_rows(rows: Iterable[Row], *, strict: bool = False) -> Iterator[QueryRow]:
    """Yield each row with its query. ``strict`` refuses conversations that the chat template shows only in part."""
    for row in rows:
        yield _query_row(row, strict)


def _query_row(row: Row, strict: bool) -> QueryRow:
    fields = row.fields
    named = next((name for name in _ID if fields.get(name) not in (None, "")), None)
    query_id = str(row.number if named is None else fields[named])
    query, error = None, row.error
    used: tuple[str, ...] = ()
    if error is None:
        try:
            kind = _kind(row)
            query, used = _MAKERS[kind](row, query_id, strict), _COLUMNS[kind]
        except InvalidRequestError as refused:
            error = _of_row(row, refused)
    return QueryRow(
        number=row.number,
        query_id=query_id,
        columns={name: value for name, value in fields.items() if name != named and name not in used},
        digest=digest(row.fields, row.error),
        query=query,
        error=error,
    )


def _kind(row: Row) -> str:
    """Return the column that says what kind of query a row is."""
    kinds = [name for name in _COLUMNS if row.fields.get(name) not in (None, "")]
    if len(kinds) != 1:
        got = " and ".join(kinds) if kinds else f"the columns {', '.join(map(str, row.fields)) or '(none)'}"
        raise invalid_row(row.number, f"is no query: {_EXPECTED}; got {got}")
    return kinds[0]


def _text(row: Row, query_id: str, strict: bool) -> Query:
    prompt, completion = row.fields.get("prompt") or "", row.fields["completion"]
    if not isinstance(prompt, str) or not isinstance(completion, str):
        raise invalid_row(row.number, "is no query: prompt and completion must be texts")
    return Query.text(prompt, completion, query_id=query_id)


def _chat(row: Row, query_id: str, strict: bool) -> Query:
    messages = _decoded(row, "messages")
    if not isinstance(messages, list):
        raise invalid_row(row.number, "is no query: messages must be a list of messages with role and content")
    return Query.chat(
        messages,
        tools=_decoded(row, "tools"),
        template_arguments=_decoded(row, "template_arguments") or _decoded(row, "chat_template_kwargs"),
        date=row.fields.get("date") or "",
        strict=strict,
        query_id=query_id,
    )


def _tokens(row: Row, query_id: str, strict: bool) -> Query:
    return Query.tokens(_decoded(row, "token_ids"), _decoded(row, "completion_start"), query_id=query_id)


def _of_row(row: Row, error: InvalidRequestError) -> InvalidRequestError:
    """Return the error with the row's number, which those of queries do not know."""
    if "row" in error.details:
        return error
    return InvalidRequestError(
        f"row {row.number}: {error.message}", reason=error.reason, field=error.field, row=row.number
    )


def _decoded(row: Row, name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a field's value; that of a text, as in CSV files, which have no lists, is its JSON."""
    value = row.fields.get(name)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value else None
    except (ValueError, RecursionError) as error:
        raise invalid_row(row.number, f"has {name} that is not JSON ({error})") from error


def digest(fields: Mapping[str, Any], error: WhenceError | None) -> str:
    """Return the digest of what a row says, by which an interrupted run knows it again."""
    written = json.dumps(fields, sort_keys=True, default=str)
    message = "" if error is None else error.message
    return hashlib.sha256(f"{written}{message}".encode(errors="surrogatepass")).hexdigest()[:16]


# The columns of each kind of query, under the one that is never missing, and how it is made.
_COLUMNS: Final = {
    "completion": ("prompt", "completion"),
    "messages": ("messages", "tools", "template_arguments", "chat_template_kwargs", "date"),
    "token_ids": ("token_ids", "completion_start"),
}
_MAKERS: Final = {"completion": _text, "messages": _chat, "token_ids": _tokens}
