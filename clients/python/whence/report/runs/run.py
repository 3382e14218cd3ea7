"""The table of a run, query by query."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from whence._plain import from_plain
from whence.bulk.files import Row
from whence.bulk.rows import QueryRow
from whence.errors import InvalidRequestError, MismatchError
from whence.queries import Query
from whence.reasons import Reason
from whence.results import AnswerWarning, Attribution, Hit, Provenance, Recall
from whence.significance import is_significant

_INTEGERS: Final = ("row", "rank", "completion_tokens")
_NUMBERS: Final = (
    "influence",
    "raw_influence",
    "signal",
    "significance",
    "log_likelihood",
    "recall",
    "truncation_error",
)
_TEXTS: Final = ("query_id", "direction", "sequence_id", "document_id", "source", "text", "error")
_JSON: Final = ("metadata", "layer_influence", "tokens", "warnings")
_OWN: Final = "query."
_UNKNOWN: Final = Provenance(
    model="",
    model_digest="",
    factors_digest="",
    corpus_digest="",
    damping_factor=0.0,
    training_set_size=0,
    engine="",
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """The table of a run: its name, its rows, which can be read again, and what is said of it (docs/many.md).

    A table has no prompts: ``asked`` are the rows of the file of queries that it was made of, where that is given.
    """

    name: str
    rows: Callable[[], Iterable[Row]]
    about: Mapping[str, Any] = field(default_factory=dict)
    asked: Callable[[], Iterable[QueryRow]] | None = None

    def queries(self) -> Iterator[AskedRow]:
        """Yield the queries with their rows, in order. Raises ``InvalidRequestError`` for a damaged row."""
        rows = (_typed(row, self.name) for row in self.rows())
        for _, of_query in itertools.groupby(rows, key=lambda row: row["row"]):
            yield AskedRow(rows=tuple(of_query), table=self)

    def asked_in(self, rows: Mapping[int, str]) -> dict[int, Query]:
        """Return the queries of rows, whose ids are given. Raises ``MismatchError`` where the file has other ids."""
        queries: dict[int, Query] = {}
        for row in self.asked() if self.asked and rows else ():
            if row.number > max(rows):
                break
            if rows.get(row.number, row.query_id) != row.query_id:
                raise MismatchError(
                    f"row {row.number} of the queries is {row.query_id!r:.60} and that of {self.name} "
                    f"{rows[row.number]!r:.60}: give the file of queries that the table was made of",
                    reason=Reason.JOB_MISMATCH,
                )
            if row.number in rows and row.query is not None:
                queries[row.number] = row.query
        return queries

    def provenance(self, row: int) -> Provenance:
        """Return the provenance of a row's answer: the last that began at the row or before."""
        known = _UNKNOWN
        for entry in self.about.get("provenance") or ():
            if entry["first_row"] <= row:
                known = from_plain(Provenance, entry["provenance"])
        return known


@dataclass(frozen=True, kw_only=True)
class AskedRow:
    """A query of a run: the rows of its hits, or the one row of a query that has none."""

    rows: tuple[dict[str, Any], ...]
    table: Run

    @property
    def number(self) -> int:
        """The number of its row in the file of queries."""
        return int(self.rows[0]["row"])

    @property
    def query_id(self) -> str:
        """The query's id."""
        return str(self.rows[0].get("query_id") or self.rows[0]["row"])

    @property
    def error(self) -> str:
        """The reason and the message where it was refused."""
        return self.rows[0].get("error") or ""

    @property
    def own(self) -> dict[str, str]:
        """The columns that the query brought along, those that have a value, by name: texts, and JSON of all else."""
        return {
            name.removeprefix(_OWN): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in sorted(self.rows[0].items())
            if name.startswith(_OWN) and value not in (None, "")
        }

    @property
    def task(self) -> str:
        """The task of an evaluation; empty where there is none."""
        return self.own.get("task", "")

    @property
    def correct(self) -> bool | None:
        """Whether the answer was right; None where nothing says."""
        return {"true": True, "false": False}.get(self.own.get("correct", ""))

    @property
    def warnings(self) -> tuple[AnswerWarning, ...]:
        """The warnings of the batch that the query was in: they may be of its other queries."""
        return tuple(map(_warning, self.rows[0]["warnings"] or ()))

    @property
    def hits(self) -> tuple[dict[str, Any], ...]:
        """The rows of its hits."""
        return tuple(row for row in self.rows if row["rank"] is not None)

    def attribution(self) -> Attribution:
        """Return the answer. Of a run, the noise and the work of single queries are not kept."""
        first, about = self.rows[0], self.table.about.get("provenance") or [{}]
        general = about[0].get("provenance", {})
        try:
            return Attribution(
                request_id="",
                provenance=self.table.provenance(first["row"]),
                timings={},
                warnings=self.warnings,
                sequences_scored=0,
                influence_unit=general.get("influence_unit", ""),
                layers=(),
                search=general.get("search", ""),
                query_id=self.query_id,
                query_key="",
                log_likelihood=first["log_likelihood"] or 0.0,
                completion_tokens=first["completion_tokens"] or 0,
                truncation_error=first["truncation_error"] or 0.0,
                **self._ranking("positive"),
                **self._ranking("negative"),
            )
        except ValueError as error:
            raise damaged(self.table.name, first["row"], str(error)) from error

    def _ranking(self, direction: str) -> dict[str, Any]:
        rows = [row for row in self.hits if row["direction"] == direction]
        share = next((row["recall"] for row in rows if row["recall"] is not None), None)
        ranking = tuple(map(_hit, rows))
        return {
            direction: ranking,
            f"{direction}_significant": _significant(ranking),
            f"{direction}_recall": None
            if share is None
            else Recall(recall=share, margin=None, candidates=0, reranked=0),
        }


def damaged(name: str, row: object, why: str) -> InvalidRequestError:
    """Return the error of a row that no run wrote."""
    return InvalidRequestError(
        f"row {row} of {name} is damaged: {why}; expected the table as a run wrote it",
        reason=Reason.UNREADABLE_RESULT,
        field="result",
    )


def _typed(row: Row, name: str) -> dict[str, Any]:
    """Return the fields of a row with the types that they have in Parquet; those of CSV are all texts."""
    if row.error is not None:
        raise damaged(name, row.number, row.error.message)
    fields = dict(row.fields)
    try:
        for column in _INTEGERS:
            fields[column] = _converted(fields.get(column), int)
        for column in _NUMBERS:
            fields[column] = _converted(fields.get(column), float)
        for column in _JSON:
            value = fields.get(column)
            fields[column] = _converted(value, json.loads) if isinstance(value, str) else value
        for column in _TEXTS:
            if not isinstance(fields.setdefault(column, None), str | None):
                raise ValueError(f"its {column} is {fields[column]!r:.60}, no text")
        if not isinstance(fields["warnings"], list | None):
            raise ValueError("its warnings are no list")
        if isinstance(fields["layer_influence"], list):  # a map of Arrow's
            fields["layer_influence"] = dict(fields["layer_influence"])
        if fields["row"] is None:
            raise ValueError("it has no number")
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(name, row.number, str(error)) from error
    return fields


def _converted(value: Any, kind: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - a field
    return None if value in (None, "") else kind(value)


def _hit(row: Mapping[str, Any]) -> Hit:
    known = {name: value for name, value in row.items() if value is not None}
    return from_plain(Hit, {
        **{name: known.get(name, "") for name in ("sequence_id", "document_id", "source", "text")},
        **{name: row[name] for name in ("rank", "influence", "raw_influence", "signal", "significance", "tokens")},
        "layer_influence": row["layer_influence"],
        "metadata": known.get("metadata", {}),
        "token_count": 0,
    })  # fmt: skip


def _significant(ranking: Sequence[Hit]) -> int | None:
    """Return the number of first hits that are told from noise; None where the noise is not known."""
    if any(hit.significance is None for hit in ranking):
        return None
    return sum(1 for _ in itertools.takewhile(lambda hit: is_significant(hit.significance), ranking))


def _warning(written: str) -> AnswerWarning:
    code, _, message = str(written).partition(": ")
    return AnswerWarning(code=code, message=message)
