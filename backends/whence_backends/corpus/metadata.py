"""The metadata of a row as JSON: values that JSON cannot represent are converted or dropped, and reported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from whence_backends.corpus.ingestion.rows import BadCell

_DEEPEST: Final = 32  # levels of nesting, a depth that every JSON reader supports


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """``values`` as JSON, and ``problems``: for each column that lost something, the reason."""

    values: Mapping[str, Any]
    problems: Mapping[str, str]


def metadata_of(columns: Mapping[str, Any], consumed: frozenset[str]) -> Metadata:
    """Return the metadata of the columns that are not ``consumed``.

    Bytes become their number, NaN and infinity null, dates text. A value that cannot be read, or is nested more than 32
    levels deep, is dropped; the row is kept.
    """
    values, problems, reader = {}, {}, _Reader()
    for name, value in columns.items():
        if name not in consumed:
            reader.problem = ""
            values[clean(name)] = reader.read(value, _DEEPEST)
            if reader.problem:
                problems[clean(name)] = reader.problem
    return Metadata(values=values, problems=problems)


def clean(text: str) -> str:
    """Return the text without lone surrogates, which JSON can represent and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class _Reader:
    """Converts one value to JSON. State: the first problem."""

    def __init__(self) -> None:
        self.problem = ""

    def read(self, value: Any, levels: int) -> Any:  # noqa: ANN401 - whatever a table can hold
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, bytes):
            return f"<{len(value)} bytes>"
        if isinstance(value, BadCell):
            return self._lost(value.problem, value.shown)
        if not isinstance(value, Iterable):
            return self._text(str(value))
        if levels == 0:
            return self._lost(f"is nested more than {_DEEPEST} levels deep", None)
        if isinstance(value, Mapping):
            return {key: self.read(item, levels - 1) for key, item in self._named(value)}
        return [self.read(item, levels - 1) for item in value]

    def _named(self, value: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
        return ((self._text(str(key)), item) for key, item in value.items())

    def _text(self, value: str) -> str:
        cleaned = clean(value)
        return (
            value
            if cleaned == value
            else str(self._lost("has bytes that are not UTF-8, or half a surrogate pair", cleaned))
        )

    def _lost(self, problem: str, shown: Any) -> Any:  # noqa: ANN401
        self.problem = self.problem or problem
        return shown
