"""The report of a benchmark's items: those that stand out, and what that says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render.bulk import refused, served_changed
from whence.contamination import ContaminationReport, ItemScores
from whence.terminal import printable

_CHARACTERS: Final = 60


def contamination_report(report: ContaminationReport) -> RenderableType:
    """Return the first items, the counts in sentences, and what these cannot tell."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column("item", overflow="fold")
    for name in (f"{report.ngram}-grams", "score", "influence", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("nearest training text", overflow="fold")
    for item in report.first:
        table.add_row(*_cells(item))
    table.caption = (
        f"{report.ngram}-grams: the share that the nearest text has, and the longest run of tokens; influence: the "
        "largest on the gold answer, in units of noise; score: small where few clean items have as much, and its "
        "interval of 95 %"
    )
    lines = [*_found(report), *_limits(report)]
    return Group(table, *lines, *refused(report.run), *served_changed(report.run), _table(report))


def _cells(item: ItemScores) -> tuple[str, ...]:
    text = "" if item.nearest_text is None else printable(" ".join(item.nearest_text.split()))
    shown = text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
    return (
        printable(item.query_id),
        f"{item.overlap:.0%}\n{item.longest_run} tokens",
        _score(item.overlap_p, item.overlap_p_low, item.overlap_p_high),
        "-" if item.influence_score is None else f"{item.influence_score:.3g}",
        _score(item.influence_p, item.influence_p_low, item.influence_p_high),
        f"{shown}\n{printable(item.nearest_id or 'none')}",
    )


def _score(p: float | None, low: float | None, high: float | None) -> str:
    return "-" if p is None or low is None or high is None else f"{p:.2g}\n{low:.2g} to {high:.2g}"


def _found(report: ContaminationReport) -> Iterator[Text]:
    """Yield the counts of items as sentences."""
    items = f"{report.items:,} items"
    yield Text(f"{report.copied:,} of {items} are in one training sequence word for word, every token in its order.")
    if report.overlapping is None or report.expected is None:
        yield Text(
            "No item is known to be clean, so nothing says which overlap or influence is usual: values, no scores. "
            "Give --clean items of the same kind that cannot be in the training data.",
            style="yellow",
        )
        return
    clean = f"than {1 - report.level:.0%} of clean items"
    yield Text(
        f"{report.overlapping:,} of {items} share more of their {report.ngram}-grams with a training text {clean} do; "
        f"for {report.mattering:,} of these, that text influences the gold answer more than it does for any clean item."
    )
    yield Text(f"{report.influenced:,} of {items} have a larger influence on the gold answer {clean} do.")
    yield Text(f"{report.likely:,} of {items} have a likelier gold answer {clean} do.")
    yield Text(f"Were all of them clean, {report.expected:.1f} of each would, by chance.")


def _limits(report: ContaminationReport) -> Iterator[Text]:
    """Yield the grounds of the counts, and their limits."""
    if report.least is not None:
        few = report.least > report.level
        wanted = f"; --level {report.level:g} needs at least {math.ceil(1 / report.level) - 1:,}"
        yield Text(
            f"{report.clean:,} clean items allow no score below {report.least:.2g}{wanted if few else ''}.",
            style="yellow" if few else "dim",
        )
    if report.without_noise:
        yield Text(
            f"{report.without_noise:,} items have no score of influence, since the noise of their influences is not "
            "known: ask with --search full-scan.",
            style="yellow",
        )
    if 0 < report.compared < report.training_sequences:
        yield Text(
            f"Compared were {report.compared:,} of {report.training_sequences:,} training sequences: what is in the "
            "others cannot be found.",
            style="yellow",
        )
    yield Text(
        "Not found is not clean: other words, another language or another cut of the text are missed, and an answer "
        "that is common knowledge is known without the item. docs/contamination.md says more.",
        style="dim",
    )


def _table(report: ContaminationReport) -> Text:
    run = report.run
    asked = run.queries - run.resumed
    rate = f", {asked / run.seconds:.1f} a second" if asked and run.seconds else ""
    earlier = f", {run.resumed:,} of them by an earlier run" if run.resumed else ""
    return Text(f"{run.queries:,} items{earlier}, clean ones included, in {run.table}{rate}")
