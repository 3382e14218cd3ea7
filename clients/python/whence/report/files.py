"""Finds the results in files and folders, by what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from whence.bulk.files import parquet_about, read_rows
from whence.bulk.rows import query_rows
from whence.bulk.tables import about_path
from whence.errors import InvalidRequestError, NotFoundError
from whence.reasons import Reason
from whence.report.messages import exchange, is_exchange
from whence.report.runs.run import Run
from whence.saved import Saved, parse

# The columns by which a table of hits is known.
_COLUMNS: Final = frozenset({"row", "query_id", "rank", "influence", "sequence_id", "source", "error"})
_SHOWN: Final = 8
# The first line of a CSV or JSON Lines file is looked for in so many bytes.
_LOOK: Final = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The results that were found, and the files of folders that hold none."""

    results: tuple[Saved | Run, ...]
    passed_over: tuple[Path, ...]


def read(paths: Iterable[Path]) -> Inputs:
    """Return the results in files, and in the files of folders.

    A file holds what ``--json`` printed or ``to_json()`` returned, or is the table of a run (.parquet, .csv or .jsonl),
    which is read when the report is made. Its name does not matter.

    Raises :class:`~whence.errors.InvalidRequestError` (``UNREADABLE_RESULT``, ``UNSUPPORTED_RESULT``) for a file that
    is something else, :class:`~whence.errors.NotFoundError` for one that is not there and for a folder without any.
    """
    results, passed_over = list[Saved | Run](), list[Path]()
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"{path} is not there: give a result or a folder", reason=Reason.INPUT_NOT_FOUND)
        if path.is_dir():
            held, others = _in_folder(path)
            results += held
            passed_over += others
        else:
            results += _in_file(path)
    return Inputs(results=tuple(results), passed_over=tuple(passed_over))


def with_queries(inputs: Inputs, queries: Path) -> Inputs:
    """Return the results with the queries that the table among them was made of.

    Raises :class:`~whence.errors.InvalidRequestError` (``AMBIGUOUS_QUERIES``) unless there is exactly one table.
    """
    runs = [result for result in inputs.results if isinstance(result, Run)]
    if len(runs) != 1:
        raise InvalidRequestError(
            f"a file of queries was given with {len(runs)} tables; it belongs to one: report on each by itself",
            reason=Reason.AMBIGUOUS_QUERIES,
            field="queries",
        )
    asked = replace(runs[0], asked=lambda: query_rows(read_rows(queries)))
    return replace(inputs, results=tuple(asked if result is runs[0] else result for result in inputs.results))


def _in_folder(folder: Path) -> tuple[list[Saved | Run], list[Path]]:
    """Return the results in a folder's files, and those files that hold none. What is said of a table is no result."""
    results, others = list[Saved | Run](), list[Path]()
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    companions = {about_path(path) for path in files}
    for path in files:
        if path in companions:
            continue
        try:
            results += _in_file(path)
        except InvalidRequestError as error:
            if error.reason == Reason.UNSUPPORTED_RESULT:
                raise
            others.append(path)
    if not results:
        raise NotFoundError(
            f"{folder} has no result among its {len(others)} files: give a folder with what --json printed, or with "
            "tables that --out wrote",
            reason=Reason.INPUT_NOT_FOUND,
        )
    return results, others


def _in_file(path: Path) -> list[Saved | Run]:
    with path.open("rb") as file:
        beginning = file.read(4)
        first = beginning + file.readline(_LOOK)
    if beginning == b"PAR1":
        return [_table(path, "parquet")]
    if _columns_of_json(first) >= _COLUMNS:
        return [_table(path, "jsonl")]
    if _columns_of_csv(first) >= _COLUMNS:
        return [_table(path, "csv")]
    content = path.read_bytes()
    exchanges = _exchanges(content)
    return [exchange(item, str(path)) for item in exchanges] or [parse(content, str(path))]


def _exchanges(content: bytes) -> list[dict[str, Any]]:
    """Return the requests with answers of a file that the page of ``whence explore`` made; none of any other file."""
    if b'"answer"' not in content:
        return []
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return []
    items = document if isinstance(document, list) else [document]
    return items if items and all(map(is_exchange, items)) else []


def _columns_of_json(line: bytes) -> set[str]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return set()
    return set(fields) if isinstance(fields, dict) else set()


def _columns_of_csv(line: bytes) -> set[str]:
    return set(line.decode("utf-8-sig", "replace").strip().split(","))


def _table(path: Path, kind: str) -> Run:
    if kind == "parquet":
        about = parquet_about(path)
        columns = about.pop("columns")
        if not set(columns) >= _COLUMNS:
            raise InvalidRequestError(
                f"{path} is no table of hits: it has the columns {', '.join(columns[:_SHOWN]) or '(none)'}; expected a "
                "table that `whence attribute --queries … --out`, or `whence harness lm-eval --out`, wrote",
                reason=Reason.UNREADABLE_RESULT,
                field="result",
            )
    else:
        about = _about(about_path(path))
    return Run(name=path.name, rows=lambda: read_rows(path, kind=kind), about=about)


def _about(path: Path) -> dict[str, Any]:
    """Return the provenance beside a table; nothing where the file is missing or damaged."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
