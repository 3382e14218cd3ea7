"""A progress bar on stderr for a scan of the corpus; silent where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import progress as bars
from rich.console import Console

from whence._failures import require_answer
from whence.cli.render.text import number
from whence.results import Attribution, Progress
from whence.terminal import printable


def follow(events: Iterable[Progress | Attribution], out: Console) -> Attribution:
    """Show the progress until the answer is there, and return it."""
    answer: Attribution | None = None
    with _bar(out) as bar:
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


def best_so_far(event: Progress) -> str:
    """Return the strongest sequence yet, in a few words."""
    strongest = max(event.positive + event.negative, key=lambda hit: abs(hit.influence), default=None)
    if strongest is None:
        return ""
    return f"best so far {number(strongest.influence)} {printable(strongest.sequence_id)}"


def _bar(out: Console) -> bars.Progress:
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
