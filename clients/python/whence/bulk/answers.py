"""The rows of a table of hits: one for each hit, and one for a query that has none or was refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Final

from whence.bulk.rows import QueryRow
from whence.errors import WhenceError
from whence.results import Attribution, Hit

# The columns, in order, before those of the query's own, which are called query.<name>.
COLUMNS: Final = (
    "row", "query_id", "direction", "rank", "influence", "raw_influence", "signal", "significance", "sequence_id",
    "document_id", "source", "text", "metadata", "layer_influence", "tokens", "log_likelihood", "completion_tokens",
    "recall", "truncation_error", "warnings", "error",
)  # fmt: skip


def table_rows(row: QueryRow, answer: Attribution | WhenceError) -> Iterator[dict[str, Any]]:
    """Yield the rows of a query. Where it has no hit there is one row without, so that no query is missing."""
    asked = {"row": row.number, "query_id": row.query_id}
    own = {f"query.{name}": value for name, value in row.columns.items()}
    if isinstance(answer, WhenceError):
        yield _complete({**asked, "error": f"{answer.reason}: {answer.message}"}, own)
        return
    for of_answer in answer_rows(answer):
        yield _complete({**of_answer, **asked}, own)


def answer_rows(answer: Attribution) -> Iterator[dict[str, Any]]:
    """Yield a row for each hit of an answer, or one without a rank where it has none."""
    of_answer = {
        "query_id": answer.query_id,
        "log_likelihood": answer.log_likelihood,
        "completion_tokens": answer.completion_tokens,
        "truncation_error": answer.truncation_error,
        "warnings": [f"{warning.code}: {warning.message}" for warning in answer.warnings],
    }
    for direction, hits, recall in (
        ("positive", answer.positive, answer.positive_recall),
        ("negative", answer.negative, answer.negative_recall),
    ):
        share = None if recall is None else recall.recall
        for hit in hits:
            yield {**of_answer, "direction": direction, "recall": share, **hit_row(hit)}
    if not answer.hits:
        yield of_answer


def provenance(answer: Attribution) -> dict[str, Any]:
    """Return the facts that all answers of a run share, unless what is served changes under it."""
    return {
        **dataclasses.asdict(answer.provenance),
        "influence_unit": answer.influence_unit,
        "search": answer.search,
    }


def hit_row(hit: Hit) -> dict[str, Any]:
    """Return the columns of a hit, the metadata as JSON."""
    return {
        "rank": hit.rank,
        "influence": hit.influence,
        "raw_influence": hit.raw_influence,
        "signal": hit.signal,
        "significance": hit.significance,
        "sequence_id": hit.sequence_id,
        "document_id": hit.document_id,
        "source": hit.source,
        "text": hit.text,
        "metadata": json.dumps(hit.metadata, default=str) if hit.metadata else None,
        "layer_influence": hit.layer_influence,
        "tokens": None if hit.tokens is None else [dataclasses.asdict(token) for token in hit.tokens],
    }


def _complete(known: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {**{column: known.get(column) for column in COLUMNS}, **own}
