"""The influence of every training row on every reference row, from a journal where a run was interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from whence.bulk.interruptions import resumable, writing
from whence.bulk.journal import journal
from whence.bulk.matrix.asking import Asker, Matrix
from whence.bulk.matrix.blocks import cells, in_rows
from whence.bulk.matrix.kept import Kept
from whence.bulk.matrix.sides import Item, SequenceChoice, Side
from whence.bulk.options import RunOptions
from whence.client import Client
from whence.errors import InvalidRequestError
from whence.examples import TrainingExample
from whence.queries import Query
from whence.results import Provenance

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Form: TypeAlias = Literal["text", "chat"]


def influences(
    client: Client, ref: Rows, train: Rows, path: Path, run: RunOptions, form: Form, damping_factor: float | None
) -> tuple[list[list[float]], Provenance]:
    """Return ``influence[reference row][training row]`` in nats and its provenance.

    Blocks that are done are in the journal at ``path``, which the caller removes. ``run`` is strict: the first row that
    is refused ends it.
    """
    matrix = Matrix(queries=_queries(ref, form), sequences=_sequences(train, form), damping_factor=damping_factor)
    settings = {
        "queries_digest": matrix.queries.digest,
        "sequences_digest": matrix.sequences.digest,
        "as": form,
        "model": run.model,
        "damping_factor": damping_factor,
    }
    with writing(path), journal(path, settings) as lines:
        kept = Kept(lines, matrix.grid(client, run))
        with resumable(path, lambda: kept.scores, kept.grid.total, "scores"):
            Asker(client=client, matrix=matrix, kept=kept, run=run).ask()
        return _rows(kept), kept.provenance


def _rows(kept: Kept) -> list[list[float]]:
    scores = []
    for number, row in enumerate(in_rows(kept.blocks(), kept.grid.columns)):
        queries, _ = kept.grid.places(number * kept.grid.columns)
        for _, values in cells(row, queries, kept.grid.sequences):
            scores.append([value for value in values if value is not None])
    return scores


def _queries(rows: Rows, form: Form) -> Side[Query]:
    def query(number: int, row: Mapping[str, Any]) -> Query:
        if form == "chat":
            return Query.chat(_messages(row), query_id=f"ref {number}")
        return Query.text(row["prompt"], row["response"], query_id=f"ref {number}")

    items = []
    for number, row in enumerate(rows):
        with _in_row(number, "ref"):
            items.append(Item(row=number, name=f"ref {number}", asked=query(number, row)))
    return Side(field="queries", file="ref", items=items, digest=_digest(rows))


def _sequences(rows: Rows, form: Form) -> Side[SequenceChoice]:
    def example(row: Mapping[str, Any]) -> TrainingExample:
        if form == "chat":
            return TrainingExample.chat(_messages(row))
        return TrainingExample.completion(row["prompt"], row["response"])

    items = []
    for number, row in enumerate(rows):
        with _in_row(number, "train"):
            items.append(Item(row=number, name=f"train {number}", asked=SequenceChoice(example=example(row))))
    return Side(field="sequences", file="train", items=items, digest=_digest(rows))


@contextmanager
def _in_row(number: int, split: str) -> Iterator[None]:
    """Name the row in the error of one that cannot be asked."""
    try:
        yield
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"row {number} of {split}: {error.message}", reason=error.reason, field=split, row=number
        ) from error


def _messages(row: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]


def _digest(rows: Rows) -> str:
    said = json.dumps([(row["prompt"], row["response"]) for row in rows])
    return hashlib.sha256(said.encode()).hexdigest()[:16]
