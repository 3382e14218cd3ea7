"""A run over the samples of an evaluation: its answers are attributed, tabled and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from whence.bulk import RunOptions, Source, attribute_rows
from whence.bulk.options import DEFAULTS
from whence.client import Client
from whence.errors import InvalidRequestError
from whence.harness.lm_eval.report import LmEvalReport, Tally
from whence.harness.lm_eval.rows import Which, count, query_rows
from whence.harness.lm_eval.sources import open_samples
from whence.harness.lm_eval.surveys import Survey, survey, without_metric
from whence.options import BatchOptions
from whence.reasons import Reason


def attribute(
    samples: Path | Mapping[str, Any],
    client: Client,
    out: Path,
    *,
    tasks: Sequence[str] = (),
    answers: Which = "all",
    metric: str = "",
    filter: str = "",  # noqa: A002 - lm_eval's word
    run: RunOptions = DEFAULTS,
    **options: Unpack[BatchOptions],
) -> LmEvalReport:
    """Attribute the model's answers in ``samples``: the path of ``lm_eval --log_samples``, or evaluation results.

    Results are what ``simple_evaluate(…, log_samples=True)`` returned. ``tasks`` (names or patterns) and ``answers``
    say which answers; ``metric`` and ``filter``, in tasks that have them, what says right or wrong. The table at
    ``out``, going on after an interruption, and the other arguments are those of :func:`whence.bulk.attribute_file`;
    with ``run.strict`` a line that is no sample, too, ends the run.

    Raises :class:`~whence.errors.NotFoundError` (``SAMPLES_NOT_FOUND``), :class:`~whence.errors.InvalidRequestError`
    (``AMBIGUOUS_SAMPLES``, ``UNKNOWN_TASK``, ``UNKNOWN_FILTER``, ``UNKNOWN_METRIC``, ``MISSING_METRIC`` where right and
    wrong cannot be told apart), and what ``attribute_file`` raises.
    """
    surveys = [
        survey(task, filters=[filter] if filter else [], metrics=[metric] if metric else [])
        for task in open_samples(samples, tasks)
    ]
    _check(surveys, answers, metric, filter)
    source = Source(
        name=str(samples) if isinstance(samples, Path) else "the results",
        rows=query_rows(surveys, answers),
        total=count(surveys, answers),
        settings={
            "samples": str(samples) if isinstance(samples, Path) else None,
            "tasks": [seen.task.name for seen in surveys],
            "answers": answers,
            "metrics": [seen.metric for seen in surveys],
            "filters": [seen.filter for seen in surveys],
        },
    )
    tally = Tally(surveys)
    report = attribute_rows(client, source, out, run, tally=tally.see, **options)
    return tally.report(report, answers)


def _check(surveys: Sequence[Survey], which: Which, metric: str, filter: str) -> None:  # noqa: A002
    """Raise for a filter or a metric that no task has, and where right and wrong cannot be told."""
    if filter and all(seen.filter != filter for seen in surveys):
        raise InvalidRequestError(
            f"no task has the filter {filter!r}; the first filters are {_several(seen.filter for seen in surveys)}",
            reason=Reason.UNKNOWN_FILTER,
            field="filter",
        )
    if metric and all(seen.metric != metric for seen in surveys):
        raise InvalidRequestError(
            f"no task has a metric {metric!r} whose values are 0 and 1 and which is the better the higher; the metrics "
            f"are {_several(name for seen in surveys for name in seen.metrics)}",
            reason=Reason.UNKNOWN_METRIC,
            field="metric",
        )
    for seen in surveys:
        if which != "all" and seen.metric is None and seen.samples:
            raise without_metric(seen, which)


def _several(names: Any) -> str:  # noqa: ANN401 - an iterable of names
    return ", ".join(dict.fromkeys(names)) or "none"
