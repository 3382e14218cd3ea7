"""Results in files: what ``--json`` and ``to_json()`` wrote, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from whence._plain import from_plain
from whence.errors import InvalidRequestError
from whence.filters import Filter
from whence.queries import Query
from whence.reasons import Reason
from whence.results import (
    Attribution,
    Attributions,
    Explanation,
    GroupInfluences,
    ScoreTable,
    SelfInfluences,
    TextOverlaps,
)

Result: TypeAlias = (
    Attribution | Attributions | Explanation | GroupInfluences | ScoreTable | SelfInfluences | TextOverlaps
)

# The key under which `--json` says what was asked, beside the fields of the answer.
ASKED: Final = "asked"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked: the query, unless each sequence was its own; the options that were given; when, in UTC."""

    query: Query | None = None
    options: dict[str, Any] = field(default_factory=dict)
    date: str = ""

    @classmethod
    def now(cls, query: Query | None, options: Mapping[str, Any]) -> Asked:
        """Note what is asked at this moment. Options that are None, False or empty were not given."""
        given = {name: _plain(value) for name, value in options.items() if _is_given(value)}
        return cls(query=query, options=given, date=datetime.now(UTC).isoformat(timespec="seconds"))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        query = None if self.query is None else self.query.to_dict()
        return {"query": query, "options": self.options, "date": self.date}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Asked:
        """Read what :meth:`to_dict` wrote. Raises ``InvalidRequestError`` or ``ValueError`` for anything else."""
        fields = from_plain(_Fields, document, "asked.")
        query = None if fields.query is None else Query.from_dict(fields.query)
        return cls(query=query, options=fields.options, date=fields.date)


@dataclass(frozen=True, kw_only=True)
class _Fields:
    query: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    date: str = ""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A result with what was asked, where that is known. ``name`` says where it is from."""

    result: Result
    asked: Asked = Asked()
    name: str = ""


def load(path: str | Path) -> Result:
    """Return the result that a file holds: what ``whence … --json`` printed, or ``to_json()`` returned.

    Raises :class:`~whence.errors.InvalidRequestError`: ``UNREADABLE_RESULT`` for a file that is something else,
    ``UNSUPPORTED_RESULT`` for the result of a later version; and ``OSError`` where the file cannot be read.
    """
    return parse(Path(path).read_bytes(), str(path)).result


def parse(content: bytes, name: str) -> Saved:
    """Return the result, and what was asked, of a file's content. ``name`` is for messages. Raises as :func:`load`."""
    if not content.strip():
        raise _unreadable(name, "it is empty; the command that was to write it may have failed")
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _unreadable(name, f"it is not JSON in UTF-8 ({error})") from error
    if not isinstance(document, dict):
        raise _unreadable(name, f"it holds a JSON {type(document).__name__}, not an object")
    kind = _kind(document)
    if kind is None:
        raise _unreadable(name, _what(document))
    try:
        result = kind.from_dict(document)
        asked = Asked.from_dict(document.get(ASKED) or {})
    except (InvalidRequestError, ValueError) as error:
        reason = error.reason if isinstance(error, InvalidRequestError) else Reason.UNREADABLE_RESULT
        raise InvalidRequestError(f"{name}: {error}", reason=reason, field="result") from error
    return Saved(result=result, asked=asked, name=name)


def _kind(document: Mapping[str, Any]) -> type[Result] | None:
    """Return the class of a document: by its kind or, before documents had one, by its fields."""
    if "kind" in document:
        return _KINDS.get(str(document["kind"]))
    return next((kind for kind, fields in _FIELDS.items() if fields <= document.keys()), None)


def _what(document: Mapping[str, Any]) -> str:
    run = document.get("run", document)
    if isinstance(run, dict) and {"table", "queries", "hits"} <= run.keys():
        return f"it is the report of a run, whose hits are in the table {run['table']!r:.200}: give that"
    if "kind" in document:
        return f"its kind is {document['kind']!r:.60}; known are {', '.join(_KINDS)}"
    return f"it has the fields {', '.join(map(str, list(document)[:8])) or '(none)':.200}"


def _unreadable(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name} holds no result: {why}. Expected what `whence attribute`, explain, score, groups or outliers printed "
        "with --json, or to_json() returned",
        reason=Reason.UNREADABLE_RESULT,
        field="result",
    )


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value not in ("", ())


def _plain(value: Any) -> Any:  # noqa: ANN401 - an option's value
    if isinstance(value, Filter):
        return {name: item for name, item in asdict(value).items() if item}
    return list(value) if isinstance(value, tuple) else value


_KINDS: Final[dict[str, type[Result]]] = {
    kind.kind: kind
    for kind in (Attribution, Attributions, Explanation, GroupInfluences, ScoreTable, SelfInfluences, TextOverlaps)
}
_FIELDS: Final[dict[type[Result], set[str]]] = {
    Attributions: {"attributions"},
    Attribution: {"query_key", "positive", "negative"},
    Explanation: {"sequence", "parts"},
    GroupInfluences: {"groups", "total"},
    ScoreTable: {"query_ids", "influence"},
    SelfInfluences: {"hits", "provenance"},
}
