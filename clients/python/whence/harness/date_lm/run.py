"""A run over a data set of DATE-LM: influences and BM25, their metrics, and the files of both."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final, Literal, TypeAlias

from whence.bulk.options import DEFAULTS, RunOptions
from whence.client import Client
from whence.errors import InvalidRequestError
from whence.harness.date_lm.bm25 import bm25_scores, has_bm25
from whence.harness.date_lm.influence import Form, Rows, influences
from whence.harness.date_lm.metrics import fact_metrics, filtering_metrics
from whence.harness.date_lm.relevance import check_columns, relevant_rows, unsafe_rows
from whence.harness.date_lm.splits import read_split
from whence.reasons import Reason

Task: TypeAlias = Literal["counterfact", "ftrace", "toxicity", "bias"]
Scores: TypeAlias = list[list[float]]
Metrics: TypeAlias = dict[str, float]

_DRAWS: Final = 200
_DEVIATIONS: Final = (
    "equal scores: relevant rows last",
    "reference rows without a relevant training row: left out, not divided by zero",
    "BM25: lower-case words of prompt and response",
)


def evaluate(
    folder: Path,
    client: Client,
    out: Path,
    task: Task,
    run: RunOptions = DEFAULTS,
    *,
    form: Form = "text",
    damping_factor: float | None = None,
) -> dict[str, Any]:
    """Return the metrics of a data set; write ``metrics.json`` and ``scores.json`` to the folder ``out``.

    Scores are ``[reference row][training row]`` of facts and, for toxicity and bias, the mean ``[training row]``. The
    same call goes on where it was interrupted. Raises :class:`~whence.errors.InvalidRequestError` for a data set that
    lacks a column (``MISSING_COLUMN``) or a relevant row (``MISSING_RELEVANT_ROWS``), and for the first refused row.
    """
    _check_out(out, overwrite=run.overwrite)
    train, ref = read_split(folder, "train"), read_split(folder, "ref")
    measure = _measure(task, train, ref)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "scores.json.journal"
    strict = dataclasses.replace(run, strict=True)
    scores, provenance = influences(client, ref, train, path, strict, form, damping_factor)
    metrics = {"influence": measure(scores)}
    if has_bm25():
        metrics["bm25"] = measure(bm25_scores(ref, train))
    report = {
        "task": task,
        "train": len(train),
        "ref": len(ref),
        "as": form,
        "metrics": metrics,
        "deviations": list(_DEVIATIONS),
        "provenance": dataclasses.asdict(provenance),
    }
    facts = task in ("counterfact", "ftrace")
    _write(out / "scores.json", scores if facts else [fmean(column) for column in zip(*scores, strict=True)])
    _write(out / "metrics.json", report)
    path.unlink(missing_ok=True)
    return report


def _check_out(out: Path, *, overwrite: bool) -> None:
    if (out / "metrics.json").exists() and not overwrite:
        raise InvalidRequestError(
            f"{out / 'metrics.json'} exists: choose another folder, or overwrite it",
            reason=Reason.TABLE_EXISTS,
            field="out",
        )


def _measure(task: Task, train: Rows, ref: Rows) -> Callable[[Scores], Metrics]:
    """Return the function of scores that has the task's metrics; raise for rows that have none."""
    for split, rows in (("train", train), ("ref", ref)):
        check_columns(rows, split, ("prompt", "response"))
    if task in ("counterfact", "ftrace"):
        relevant = relevant_rows("ftrace" if task == "ftrace" else "counterfact", train, ref)
        _check_relevant(task, any(relevant), ref)
        return lambda scores: _of_facts(scores, relevant)
    unsafe = unsafe_rows(train)
    _check_relevant(task, bool(unsafe), ref)
    return lambda scores: _of_filtering(scores, unsafe)


def _check_relevant(task: Task, relevant: bool, ref: Rows) -> None:
    if not relevant or not ref:
        raise InvalidRequestError(
            f"no training row is relevant to {task}, of {len(ref)} reference rows: name another task, or other rows",
            reason=Reason.MISSING_RELEVANT_ROWS,
            field="task",
        )


def _of_facts(scores: Scores, relevant: Sequence[Sequence[int]]) -> Metrics:
    metrics = fact_metrics(scores, relevant)
    single = [fact_metrics([row], [rows]) for row, rows in zip(scores, relevant, strict=True) if rows]
    return {
        "recall50": metrics.recall,
        "recall50_se": _standard_error([row.recall for row in single]),
        "mrr": metrics.mrr,
        "mrr_se": _standard_error([row.mrr for row in single]),
        "matched": metrics.matched,
        "unmatched": metrics.unmatched,
    }


def _standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean; 0 of a single value, which has none."""
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _of_filtering(scores: Scores, unsafe: Sequence[int]) -> Metrics:
    metrics = filtering_metrics(scores, unsafe)
    draw = random.Random(0)
    drawn = [filtering_metrics(draw.choices(scores, k=len(scores)), unsafe) for _ in range(_DRAWS)]
    return {
        "auprc": metrics.auprc,
        "auprc_se": stdev(row.auprc for row in drawn),
        "average_precision": metrics.average_precision,
        "average_precision_se": stdev(row.average_precision for row in drawn),
        "unsafe": len(unsafe),
    }


def _write(path: Path, content: dict[str, Any] | Sequence[Any]) -> None:
    partial = path.with_name(f".{path.name}.writing")
    partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
    partial.replace(path)
