"""The documents of ``--json``: results as plain data. Keys are the fields of the results and do not change."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from whence.bulk import BulkReport
from whence.bulk.matrix import MatrixReport
from whence.contamination import ContaminationReport
from whence.harness.lm_eval import LmEvalReport
from whence.models import Model
from whence.queries import Query
from whence.results import Answer
from whence.saved import ASKED, Asked


def answer(result: Answer, query: Query | None = None, **options: object) -> dict[str, Any]:
    """Return all fields of an answer and, under ``asked``, the query, the options that were given, and the time."""
    return {**result.to_dict(), ASKED: Asked.now(query, options).to_dict()}


def bulk(report: BulkReport) -> dict[str, Any]:
    """Return the report of a run."""
    return {**dataclasses.asdict(report), "table": str(report.table)}


def matrix(report: MatrixReport) -> dict[str, Any]:
    """Return the report of a matrix."""
    return {**dataclasses.asdict(report), "table": str(report.table)}


def lm_eval(report: LmEvalReport) -> dict[str, Any]:
    """Return the report of the answers of an evaluation."""
    return {**dataclasses.asdict(report), "run": bulk(report.run)}


def contamination(report: ContaminationReport) -> dict[str, Any]:
    """Return the report of a benchmark's items."""
    return {**dataclasses.asdict(report), "run": bulk(report.run)}


def models(served: Iterable[Model]) -> dict[str, Any]:
    """Return the served models under ``models``."""
    return {"models": [model(entry) for entry in served]}


def model(served: Model) -> dict[str, Any]:
    """Return all fields of a model, with its computed properties."""
    return {
        **dataclasses.asdict(served),
        "validation": served.validation,
        "attributed_share": served.attributed_share,
        "uncovered_shards": list(served.uncovered_shards),
    }
