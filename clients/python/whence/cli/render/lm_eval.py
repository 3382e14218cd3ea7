"""The report of the answers of an evaluation, task by task."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render.bulk import bulk_report
from whence.display.wording import number
from whence.harness.lm_eval import AnswersReport, LmEvalReport, TaskReport
from whence.terminal import printable


def lm_eval_report(report: LmEvalReport) -> RenderableType:
    """Return the tasks' accuracies and where right and wrong answers came from, then the counts of the run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column("task", overflow="fold")
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("answers", no_wrap=True)
    for name in ("attributed", "signal"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("first hits are from", no_wrap=True)
    for task in report.tasks:
        _add(table, task)
    table.caption = "signal: of the first hit, in nats, the mean and its standard error"
    return Group(table, *_notes(report), bulk_report(report.run))


def _add(table: Table, task: TaskReport) -> None:
    """Add a row for each kind of answers that a task has, or one to say that none was attributed."""
    kinds = zip(("right", "wrong", "not judged"), _kinds(task), strict=True)
    had = [(name, answers) for name, answers in kinds if answers.attributed] or [("", task.unjudged)]
    for place, (name, answers) in enumerate(had):
        first = (_name(task), _accuracy(task)) if place == 0 else ("", "")
        table.add_row(*first, name, f"{answers.attributed:,}", _signal(answers), _sources(answers))
    table.add_section()


def _kinds(task: TaskReport) -> tuple[AnswersReport, ...]:
    return task.right_answers, task.wrong_answers, task.unjudged


def _has_signal(answers: AnswersReport) -> bool:
    return answers.mean_signal is not None


def _name(task: TaskReport) -> Text:
    """Return the task's name, and under it what says right or wrong."""
    by = ", ".join(name for name in (task.metric, task.filter) if name not in (None, "", "none"))
    return Text.assemble(printable(task.task), (f"\n{printable(by)}" if by else "", "dim"))


def _accuracy(task: TaskReport) -> str:
    return f"{'-' if task.accuracy is None else f'{task.accuracy:.3f}'}\nof {task.samples:,}"


def _signal(answers: AnswersReport) -> str:
    if answers.mean_signal is None:
        return "-"
    error = "" if answers.standard_error is None else f" ± {answers.standard_error:.2g}"
    return f"{number(answers.mean_signal)}{error}"


def _sources(answers: AnswersReport) -> str:
    return "\n".join(f"{lead.answers:,} {printable(lead.source)}" for lead in answers.sources)


def _notes(report: LmEvalReport) -> Iterator[Text]:
    unreadable = sum(task.unreadable for task in report.tasks)
    if unreadable:
        yield Text(f"{unreadable:,} lines are no samples of lm_eval", style="yellow")
    unknown = [task for task in report.tasks if task.attributed and not any(map(_has_signal, _kinds(task)))]
    if unknown:
        yield Text("Answers from an index have no signal: ask with --search full-scan for it.", style="yellow")
    apart = sum(task.apart for task in report.tasks)
    if apart:
        yield Text(
            f"{apart:,} answers have another log-likelihood here than in the evaluation, by more than 0.1 nats a "
            "token: is the served model the evaluated one, in the same precision?",
            style="yellow",
        )
