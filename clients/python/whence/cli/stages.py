"""Progress of work in several stages whose names and number are not known beforehand: one bar a stage, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from rich import progress as bars

from whence.cli.console import stderr
from whence.terminal import printable

if TYPE_CHECKING:
    from whence_backends.validation.checks import CheckProgress
    from whence_backends.validation.training import TrainingProgress

_CHECK_STAGES: Final = {
    "lexical": "searching words (texts)",
    "fits": "fitting again, four times",
    "scan": "scoring (sequences)",
    "precision": "scoring in two precisions",
    "step": "taking steps",
    "optimum": "adding gradients up",
}


class ShowStage(Protocol):
    """The function that updates the bar of a stage."""

    def __call__(self, stage: str, share: float, detail: str = "") -> None:
        """Show that a share of a stage is done, with a word on what was done last."""


@contextmanager
def stage_progress() -> Iterator[ShowStage]:
    """Show a bar for each stage, with the time left, and yield the function that updates it."""
    columns = (
        bars.TextColumn("{task.description:32}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[detail]}", style="dim", markup=False),
    )
    with bars.Progress(*columns, console=stderr()) as bar:
        tasks: dict[str, bars.TaskID] = {}

        def show(stage: str, share: float, detail: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(printable(stage), total=1.0, detail="")
            bar.update(tasks[stage], completed=share, detail=printable(detail))

        yield show


@contextmanager
def training_progress() -> Iterator[Callable[[TrainingProgress], None]]:
    """Show a bar over the models of a validation, and yield the function that updates it."""
    with stage_progress() as show:
        yield lambda at: show("training", at.done / max(1, at.total), f"{at.done} of {at.total} {at.name}".strip())


@contextmanager
def check_progress() -> Iterator[Callable[[CheckProgress], None]]:
    """Show a bar for each stage of the checks, and yield the function that updates it."""
    with stage_progress() as show:
        yield lambda at: show(_CHECK_STAGES[at.stage], at.done / max(1, at.total))
