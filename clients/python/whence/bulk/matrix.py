"""The matrix of scores of files: each query against each sequence."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whence import arrow
from whence.bulk.files import invalid_row, parquet, read_rows
from whence.bulk.rows import query_rows
from whence.bulk.tables import check_table
from whence.client import Client
from whence.errors import InvalidRequestError, WhenceError
from whence.queries import Query
from whence.reasons import Reason
from whence.results import ScoreTable


def read_queries(path: Path) -> list[Query]:
    """Return the queries of a file. Raises the error of the first row that is none."""
    queries = []
    for row in query_rows(read_rows(path)):
        if row.query is None:
            raise row.error or _nothing(path, "queries", "query")
        queries.append(row.query)
    if not queries:
        raise _nothing(path, "queries", "query")
    return queries


def read_sequences(path: Path) -> tuple[list[str], list[str]]:
    """Return the ids and the texts of a file's rows, each once: of those with ``sequence_id`` and those with ``text``.

    A table of hits has both columns, and is read by its ids.
    """
    ids: dict[str, None] = {}
    texts: dict[str, None] = {}
    for row in read_rows(path):
        if row.error is not None:
            raise row.error
        name, text = row.fields.get("sequence_id"), row.fields.get("text")
        if isinstance(name, str) and name:
            ids[name] = None
        elif isinstance(text, str) and text:
            texts[text] = None
        elif not ("sequence_id" in row.fields and "row" in row.fields):  # that of a query without hits
            raise invalid_row(row.number, f"of {path} has neither sequence_id nor text", field="sequences")
    if not ids and not texts:
        raise _nothing(path, "sequences", "sequence")
    return list(ids), list(texts)


def score_files(
    client: Client,
    queries: Path,
    sequences: Path,
    out: Path,
    *,
    overwrite: bool = False,
    **options: Any,  # noqa: ANN401
) -> ScoreTable:
    """Score every query of a file against every sequence of another, write the matrix, and return it.

    A ``.csv`` has a row for each query and a column for each sequence; ``.parquet`` and ``.jsonl`` have a row for each
    pair. ``options`` are those of :meth:`whence.Client.score_matrix`. Raises its errors, and
    :class:`~whence.errors.InvalidRequestError` for files that cannot be read or written.
    """
    check_table(out, overwrite=overwrite)
    asked, (ids, texts) = read_queries(queries), read_sequences(sequences)
    table = client.score_matrix(asked, sequence_ids=ids, texts=texts, **options)
    _write(table, out)
    return table


def _write(table: ScoreTable, out: Path) -> None:
    partial = out.with_name(f".{out.name}.writing")
    if out.suffix.lower() == ".csv":
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["query_id", *table.sequence_names])
            writer.writerows(zip(table.query_ids, *zip(*table.influence, strict=True), strict=True))
    elif out.suffix.lower() == ".jsonl":
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(pair) + "\n" for pair in _pairs(table))
    else:
        parquet().write_table(arrow.scores(table), partial, compression="zstd")
    partial.replace(out)


def _pairs(table: ScoreTable) -> Iterator[dict[str, Any]]:
    for query_id, influences in zip(table.query_ids, table.influence, strict=True):
        for name, influence in zip(table.sequence_names, influences, strict=True):
            yield {"query_id": query_id, "sequence_id": name, "influence": influence}


def _nothing(path: Path, field: str, what: str) -> WhenceError:
    return InvalidRequestError(f"{path} has no {what}", reason=Reason.INVALID_QUERIES, field=field)
