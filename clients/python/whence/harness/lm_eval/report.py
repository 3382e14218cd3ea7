"""The report of a run: each task's right and wrong answers, and where they came from."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from whence.bulk import BulkReport
from whence.harness.lm_eval.surveys import Survey

# So many sources are named.
_SOURCES: Final = 3
# From this difference on, in nats for each token, the harness and the server do not see the same model or text.
_NATS_APART: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class SourceLead:
    """A source and the number of answers whose first hit is from it."""

    source: str
    answers: int


@dataclass(frozen=True, kw_only=True)
class AnswersReport:
    """Of attributed answers: the signal of their first hits, in nats (mean and its standard error), and its sources.

    ``mean_signal`` is None where no first hit has a signal, ``standard_error`` where fewer than two have one.
    """

    attributed: int
    mean_signal: float | None
    standard_error: float | None
    sources: tuple[SourceLead, ...]


@dataclass(frozen=True, kw_only=True)
class TaskReport:
    """A task: of its ``samples``, ``right`` are right by ``metric`` (both None where no metric says).

    ``unjudged`` are the attributed answers of a task without such a metric. ``apart`` counts those whose log-likelihood
    at the server is more than 0.1 nats a token from the one that the harness saw.
    """

    task: str
    filter: str
    metric: str | None
    metrics: tuple[str, ...]
    samples: int
    right: int | None
    accuracy: float | None
    unreadable: int
    attributed: int
    refused: int
    apart: int
    right_answers: AnswersReport
    wrong_answers: AnswersReport
    unjudged: AnswersReport


@dataclass(frozen=True, kw_only=True)
class LmEvalReport:
    """What a run did, task by task. ``run`` has its table, its refusals and its rate."""

    run: BulkReport
    answers: str
    tasks: tuple[TaskReport, ...]


@dataclass(kw_only=True)
class _Answers:
    attributed: int = 0
    signals: list[float] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)

    def see(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.attributed += 1
        lead = next((row for row in rows if row["rank"] == 1), None)
        if lead is not None:
            self.sources[lead["source"]] += 1
            if lead["signal"] is not None:
                self.signals.append(lead["signal"])

    def report(self) -> AnswersReport:
        several = len(self.signals) > 1
        return AnswersReport(
            attributed=self.attributed,
            mean_signal=statistics.fmean(self.signals) if self.signals else None,
            standard_error=statistics.stdev(self.signals) / math.sqrt(len(self.signals)) if several else None,
            sources=tuple(SourceLead(source=name, answers=n) for name, n in self.sources.most_common(_SOURCES)),
        )


class Tally:
    """Counts a run's rows as they are written. :meth:`see` takes the rows of one answer."""

    def __init__(self, surveys: Sequence[Survey]) -> None:
        self._surveys = surveys
        self._answers: dict[tuple[str, bool | None], _Answers] = {}
        self._refused: Counter[str] = Counter()
        self._apart: Counter[str] = Counter()

    def see(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the rows of an answer."""
        first = rows[0]
        task = first["query.task"]
        if first["error"]:
            self._refused[task] += 1
            return
        self._answers.setdefault((task, first["query.correct"]), _Answers()).see(rows)
        self._apart[task] += _apart(first)

    def report(self, run: BulkReport, answers: str) -> LmEvalReport:
        """Return the report of all that was seen."""
        return LmEvalReport(run=run, answers=answers, tasks=tuple(map(self._of_task, self._surveys)))

    def _of_task(self, survey: Survey) -> TaskReport:
        name, judged = survey.task.name, survey.metric is not None
        right, wrong, unjudged = (self._answers.get((name, correct), _Answers()) for correct in (True, False, None))
        return TaskReport(
            task=name,
            filter=survey.filter,
            metric=survey.metric,
            metrics=survey.metrics,
            samples=survey.samples,
            right=survey.right if judged else None,
            accuracy=survey.right / survey.samples if judged and survey.samples else None,
            unreadable=survey.unreadable,
            attributed=right.attributed + wrong.attributed + unjudged.attributed,
            refused=self._refused[name],
            apart=self._apart[name],
            right_answers=right.report(),
            wrong_answers=wrong.report(),
            unjudged=unjudged.report(),
        )


def _apart(row: Mapping[str, Any]) -> bool:
    seen = row["query.log_likelihood"]
    return seen is not None and abs(seen - row["log_likelihood"]) > _NATS_APART * max(row["completion_tokens"], 1)
