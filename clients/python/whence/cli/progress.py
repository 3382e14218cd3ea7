"""Progress on stderr: a scan of the corpus, and the stages of offline jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich import progress as bars
from rich.console import Console
from rich.filesize import decimal

from whence._failures import require_answer
from whence.cli.console import stderr
from whence.display.wording import number
from whence.results import Attribution, Progress
from whence.terminal import printable

if TYPE_CHECKING:
    from whence.bulk import BulkProgress
    from whence_backends.corpus import IngestProgress
    from whence_backends.export import ExportProgress
    from whence_backends.fit import FitProgress
    from whence_backends.index import IndexProgress

_FIT_STAGES: Final = {
    "covariance": "covariances (tokens)",
    "eigenbasis": "eigenbases (layers)",
    "lambda": "eigenvalues (tokens)",
}
_EXPORT_STAGES: Final = {
    "load": "loading the model",
    "trace": "recording forward and backward pass",
    "write": "writing graph and weights",
    "verify": "comparing the graph with the model",
}


def follow(events: Iterable[Progress | Attribution], out: Console) -> Attribution:
    """Show the progress of a scan and return its answer. Silent where ``out`` is no terminal."""
    answer: Attribution | None = None
    with _scan_bar(out) as bar:
        task = bar.add_task("waiting for the server", total=None, best="")
        for event in events:
            if isinstance(event, Progress):
                bar.update(
                    task,
                    description="scanning the corpus",
                    completed=event.sequences_scored,
                    total=event.sequences_total,
                    best=best_so_far(event),
                )
            else:
                answer = event
    return require_answer(answer)


@contextmanager
def bulk_progress(unit: str = "queries") -> Iterator[Callable[[BulkProgress], None]]:
    """Show a bar over the work of a run, with rate and time left, and yield the function that updates it."""
    columns = (
        bars.TextColumn(unit, style="bold", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}", style="dim", markup=False),
    )
    out = stderr()
    # Elsewhere than on a terminal a bar would be one line at the end, in front of an error's JSON.
    with bars.Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("waiting for the server", total=None)
        began = time.monotonic()

        def show(at: BulkProgress) -> None:
            seconds = max(time.monotonic() - began, 1e-9)
            notes = [f"{(at.done - at.resumed) / seconds:.1f} a second"] if at.done > at.resumed else []
            notes += [f"{at.resumed:,} of an earlier run"] if at.resumed else []
            notes += [f"{at.refused:,} refused"] if at.refused else []
            bar.update(task, completed=at.done, total=at.total, description=", ".join(notes))

        yield show


def best_so_far(event: Progress) -> str:
    """Return the influence and the id of the most influential sequence scored so far; empty before the first."""
    strongest = max(event.positive + event.negative, key=lambda hit: abs(hit.influence), default=None)
    if strongest is None:
        return ""
    return f"best so far {number(strongest.influence)} {printable(strongest.sequence_id)}"


@contextmanager
def corpus_progress() -> Iterator[Callable[[IngestProgress], None]]:
    """Show a bar while a corpus is made, and yield the function that updates it."""
    columns = (
        bars.TextColumn("corpus", style="bold", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}", markup=False),
    )
    with bars.Progress(*columns, console=stderr()) as bar:
        task = bar.add_task("reading the input", total=None)

        def show(at: IngestProgress) -> None:
            bar.update(task, total=at.bytes_total, completed=at.bytes_read, description=_counts(at))

        yield show


@contextmanager
def fit_progress() -> Iterator[Callable[[FitProgress], None]]:
    """Show a bar for each stage of a fit, with the time left, and yield the function that updates it."""
    columns = (
        bars.TextColumn("{task.description:24}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=stderr()) as bar:
        tasks = {stage: bar.add_task(text, total=None, visible=False) for stage, text in _FIT_STAGES.items()}

        def show(at: FitProgress) -> None:
            bar.update(tasks[at.stage], completed=at.done, total=at.total, visible=True)

        yield show


@contextmanager
def export_progress() -> Iterator[Callable[[ExportProgress], None]]:
    """Show the stages of an export, each with the time that it takes, and yield the function that begins one."""
    columns = (
        bars.SpinnerColumn(), bars.TextColumn("{task.description:36}", markup=False), bars.TimeElapsedColumn()
    )  # fmt: skip
    with bars.Progress(*columns, console=stderr()) as bar:

        def end_stage() -> None:
            for task in bar.tasks:
                bar.update(task.id, completed=1)

        def show(at: ExportProgress) -> None:
            end_stage()
            bar.add_task(_EXPORT_STAGES[at.stage], total=1)

        yield show
        end_stage()


@contextmanager
def index_progress() -> Iterator[Callable[[IndexProgress], None]]:
    """Show a bar over the tokens of this job, with the time left, and yield the function that updates it."""
    columns = (
        bars.TextColumn("{task.description:24}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=stderr()) as bar:
        task = bar.add_task("index", total=None)

        def show(at: IndexProgress) -> None:
            bar.update(task, completed=at.done, total=at.total, description=printable(f"index {at.shard}".strip()))

        yield show


def _counts(at: IngestProgress) -> str:
    bad = f", {at.bad_rows:,} bad rows" if at.bad_rows else ""
    read = f"{decimal(at.bytes_read)} of {decimal(at.bytes_total)}"
    return f"{at.sequences:,} sequences, {at.tokens:,} tokens{bad} ({read})"


def _scan_bar(out: Console) -> bars.Progress:
    return bars.Progress(
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[best]}", style="dim", markup=False),
        console=out,
        disable=not out.is_terminal,
        transient=True,
    )
