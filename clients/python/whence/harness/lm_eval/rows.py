"""The rows of a run: a query for each answer, with what the harness knows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from whence.bulk import QueryRow
from whence.bulk.rows import digest
from whence.errors import InvalidRequestError, WhenceError
from whence.harness.lm_eval.answers import answer
from whence.harness.lm_eval.samples import Sample
from whence.harness.lm_eval.surveys import Survey, samples
from whence.queries import Query

# Which answers are attributed.
Which = Literal["all", "right", "wrong"]


def query_rows(surveys: Sequence[Survey], which: Which) -> Iterator[QueryRow]:
    """Yield the rows of all tasks, numbered through. What is no sample has a row with an error, whatever is wanted."""
    number = 0
    for survey in surveys:
        for line, sample in samples(survey.task, survey.filter):
            if isinstance(sample, Sample) and which != "all" and survey.correct(sample) != (which == "right"):
                continue
            number += 1
            if isinstance(sample, Sample):
                yield _row(number, survey, sample)
            else:
                columns = {"task": survey.task.name, "place": line.place}
                yield _complete(number, f"{survey.task.name}/{line.place}", columns, None, sample)


def count(surveys: Sequence[Survey], which: Which) -> int:
    """Return the number of those rows."""
    return sum(_wanted(survey, which) + survey.unreadable for survey in surveys)


def _wanted(survey: Survey, which: Which) -> int:
    if which == "all":
        return survey.samples
    return survey.right if which == "right" else survey.samples - survey.right


def _row(number: int, survey: Survey, sample: Sample) -> QueryRow:
    chosen = answer(sample, survey.metric)
    query_id = f"{sample.task}/{sample.doc_id}"
    columns: dict[str, Any] = {
        "task": sample.task,
        "doc_id": sample.doc_id,
        "filter": sample.filter,
        "kind": chosen.kind,
        "answer": chosen.completion,
        "choice": chosen.choice,
        "log_likelihood": chosen.log_likelihood,
        "target": sample.target,
        "correct": survey.correct(sample),
        "metric": survey.metric,
        "metrics": dict(sample.metrics),
        "doc_hash": sample.doc_hash,
    }
    try:
        return _complete(number, query_id, columns, chosen.query(query_id), None, chosen.prompt)
    except InvalidRequestError as error:
        return _complete(number, query_id, columns, None, error, chosen.prompt)


def _complete(
    number: int,
    query_id: str,
    columns: dict[str, Any],
    query: Query | None,
    error: WhenceError | None,
    prompt: object = None,
) -> QueryRow:
    return QueryRow(
        number=number,
        query_id=query_id,
        columns=columns,
        digest=digest({**columns, "prompt": prompt}, error),
        query=query,
        error=error,
    )
