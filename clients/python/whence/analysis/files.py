"""Influences of all sequences on each query, read from files; the columns say which of two kinds a file is.

A file of pairs (Parquet, JSON Lines or CSV) has ``sequence_id`` and ``influence``, with several queries ``query_id``,
and may have ``signal``. A matrix (CSV, as ``whence scores`` writes it) has ``query_id`` and a column for each sequence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whence.analysis.influences import Float64Array
from whence.bulk.files import Row, read_rows
from whence.errors import InvalidRequestError
from whence.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class QueryInfluences:
    """The influences of a query, [N], their signals where all are known, and how many sequences have none."""

    query_id: str
    influences: Float64Array
    signals: Float64Array | None
    missing: int


def read_influences(paths: Sequence[Path]) -> list[QueryInfluences]:
    """Return the influences of each query of the files, in the order of their first rows.

    Raises ``InvalidRequestError``: ``MISSING_COLUMN`` for other columns, ``INVALID_INFLUENCES`` for what is no finite
    number, a sequence that a query has twice, a query in two files, and tables of hits, which lack most sequences.
    """
    queries: dict[str, QueryInfluences] = {}
    for path in paths:
        for query in _read(path):
            if query.query_id in queries:
                raise _invalid(f"the query {query.query_id!r} of {path} is in another file, too; give each query once")
            queries[query.query_id] = query
    if not queries:
        raise _invalid(f"{', '.join(map(str, paths))}: no influence is in there")
    return list(queries.values())


@dataclass
class _Gathered:
    """The cells of a query, gathered row by row."""

    influences: list[float] = field(default_factory=list)
    signals: list[float | None] = field(default_factory=list)
    sequences: set[str] = field(default_factory=set)
    missing: int = 0

    def add(self, sequence_id: str, influence: float | None, signal: float | None, where: str) -> None:
        if sequence_id in self.sequences:
            raise _invalid(f"{where} has the sequence {sequence_id!r} a second time for its query")
        self.sequences.add(sequence_id)
        if influence is None:
            self.missing += 1
        else:
            self.influences.append(influence)
            self.signals.append(signal)

    def done(self, query_id: str) -> QueryInfluences:
        known = [signal for signal in self.signals if signal is not None]
        return QueryInfluences(
            query_id=query_id,
            influences=np.array(self.influences, dtype=np.float64),
            signals=np.array(known) if known and len(known) == len(self.signals) else None,
            missing=self.missing,
        )


def _read(path: Path) -> Iterable[QueryInfluences]:
    gathered: dict[str, _Gathered] = {}
    for row in read_rows(path):
        if row.error is not None:
            raise row.error
        where = f"row {row.number} of {path}"
        for query_id, sequence_id, influence, signal in _cells(row, path):
            cells = gathered.setdefault(query_id, _Gathered())
            cells.add(sequence_id, _number(influence, where), _number(signal, where), where)
    return [cells.done(query_id) for query_id, cells in gathered.items()]


def _cells(row: Row, path: Path) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield query, sequence, influence and signal of each cell of a row."""
    columns = row.fields
    if "influence" in columns and "sequence_id" in columns:
        if "rank" in columns:
            raise _invalid(
                f"{path} is a table of hits: a study needs the influences of all sequences, as `whence scores` writes "
                "them"
            )
        query_id = str(columns.get("query_id") or path.stem)
        yield query_id, str(columns["sequence_id"]), columns["influence"], columns.get("signal")
    elif "query_id" in columns and not {"influence", "sequence_id", "row"} & columns.keys():
        for name, value in columns.items():
            if name != "query_id":
                yield str(columns["query_id"]), name, value, None
    else:
        raise _missing(path, columns)


def _number(value: object, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # anything is tried
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise _invalid(f"{where} has {str(value)[:40]!r}: expected a finite number, or nothing where there is none")
    return number


def _missing(path: Path, columns: Mapping[str, object]) -> InvalidRequestError:
    return InvalidRequestError(
        f"{path} has the columns {', '.join(list(columns)[:8])}; expected sequence_id and influence, and query_id for "
        "several queries, or query_id and a column for each sequence, as `whence scores` writes them",
        reason=Reason.MISSING_COLUMN,
        field="influences",
    )


def _invalid(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_INFLUENCES, field="influences")
