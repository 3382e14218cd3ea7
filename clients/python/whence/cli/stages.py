"""Progress of work in several stages whose names and number are not known beforehand: one bar a stage, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as bars

from whence.cli.console import stderr
from whence.terminal import printable


@contextmanager
def stage_progress() -> Iterator[Callable[[str, float], None]]:
    """Show a bar for each stage, and yield the function that takes a stage and the share of it that is done."""
    columns = (
        bars.TextColumn("{task.description:32}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=stderr()) as bar:
        tasks: dict[str, bars.TaskID] = {}

        def show(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(printable(stage), total=1.0)
            bar.update(tasks[stage], completed=share)

        yield show
