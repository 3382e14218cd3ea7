"""A first look at a task: its filter, the metric that says right or wrong, how many are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from whence.errors import InvalidRequestError, WhenceError
from whence.harness.lm_eval.samples import Sample, parse
from whence.harness.lm_eval.sources import Line, Task
from whence.reasons import Reason

# These say right or wrong wherever they do; then the first metric that has no other values than 0 and 1.
_FIRST: Final = ("acc", "exact_match")


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A task and what is in it. ``metric`` says right or wrong, None where none does; of ``samples``, ``right`` are."""

    task: Task
    filter: str
    metric: str | None
    metrics: tuple[str, ...]
    samples: int
    right: int
    unreadable: int

    def correct(self, sample: Sample) -> bool | None:
        """Return whether a sample's answer is right, None where nothing says."""
        return None if self.metric is None else bool(sample.metrics[self.metric])


@dataclass(kw_only=True)
class _Values:
    """The values of a task's metrics so far: how many there are of 1, None once there was another than 0 and 1."""

    ones: dict[str, int | None] = field(default_factory=dict)
    samples: int = 0
    unreadable: int = 0

    def see(self, sample: Sample) -> None:
        for name in {**self.ones, **sample.metrics}:
            so_far, more = self.ones.get(name, None if self.samples else 0), _bit(sample.metrics.get(name))
            self.ones[name] = None if so_far is None or more is None else so_far + more
        self.samples += 1


def survey(task: Task, *, filters: Sequence[str] = (), metrics: Sequence[str] = ()) -> Survey:
    """Look at a task's samples once. ``filters`` and ``metrics`` are those to prefer, where the task has them."""
    names = dict.fromkeys(str(line.fields["filter"]) for line in task.lines() if "filter" in line.fields)
    chosen = next((name for name in filters if name in names), next(iter(names), ""))
    seen = _Values()
    for _, sample in samples(task, chosen):
        if isinstance(sample, Sample):
            seen.see(sample)
        else:
            seen.unreadable += 1
    judges = [name for name, ones in seen.ones.items() if ones is not None and name not in task.lower_is_better]
    metric = next((name for name in (*metrics, *_FIRST, *judges) if name in judges), None)
    right = 0 if metric is None else seen.ones[metric] or 0
    return Survey(
        task=task,
        filter=chosen,
        metric=metric,
        metrics=tuple(seen.ones),
        samples=seen.samples,
        right=right,
        unreadable=seen.unreadable,
    )


def samples(task: Task, chosen: str) -> Iterator[tuple[Line, Sample | WhenceError]]:
    """Yield each line of the chosen filter with its sample, or with what is wrong with it.

    A prompt of a document is yielded once: the lines of other filters are of the same answer.
    """
    seen: set[tuple[int, str]] = set()
    for line in task.lines():
        if str(line.fields.get("filter", chosen)) != chosen:
            continue
        try:
            if line.error is not None:
                raise line.error
            sample = parse(task.name, line.place, line.fields)
        except InvalidRequestError as error:
            yield line, error
            continue
        if (sample.doc_id, sample.prompt_hash) not in seen:
            seen.add((sample.doc_id, sample.prompt_hash))
            yield line, sample


def without_metric(survey: Survey, wanted: str) -> InvalidRequestError:
    """Return the error of a task whose right and wrong answers cannot be told apart."""
    return InvalidRequestError(
        f"the task {survey.task.name} has no metric whose values are 0 and 1, which would say what is {wanted} (it has "
        f"{', '.join(survey.metrics) or 'none'}): attribute all of its answers",
        reason=Reason.MISSING_METRIC,
        field="answers",
        task=survey.task.name,
    )


def _bit(value: object) -> int | None:
    """Return a value that is 0 or 1; None for any other."""
    return int(value) if isinstance(value, bool | int | float) and value in (0, 1) else None
