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
from whence.contamination import ContaminationReport, FlaggedItem
from whence.terminal import printable

_CHARACTERS: Final = 60


def contamination_report(report: ContaminationReport) -> RenderableType:
    """Return the first items, the counts in sentences, and what these cannot tell."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column("item", overflow="fold")
    for name in ("score", "overlap", "run", "influence", "nearest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("nearest training text", overflow="fold")
    for item in report.first:
        table.add_row(*_cells(item))
    table.caption = (
        f"score: small where few clean items stand out as much; overlap: the share of {report.ngram}-grams in the "
        "nearest text,\nand the longest run of tokens; influence on the gold answer: of the first hit and of the "
        "nearest text, in units of noise"
    )
    lines = [*_found(report), *_limits(report)]
    return Group(table, *lines, *refused(report.run), *served_changed(report.run), _table(report))


def _cells(item: FlaggedItem) -> tuple[str, ...]:
    score = "-" if item.p is None else f"{item.p:.2g}"
    between = "" if item.p_low is None or item.p_high is None else f"\n{item.p_low:.2g} to {item.p_high:.2g}"
    text = "" if item.nearest_text is None else printable(" ".join(item.nearest_text.split()))
    shown = text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
    return (
        printable(item.query_id),
        f"{score}{between}",
        f"{item.overlap:.0%}",
        str(item.longest_run),
        _multiple(item.influence_score),
        _multiple(item.nearest_score),
        f"{shown}\n{printable(item.nearest_id or 'none')}",
    )


def _multiple(score: float | None) -> str:
    return "-" if score is None else f"{score:.3g}"


def _found(report: ContaminationReport) -> Iterator[Text]:
    """Yield the counts of items as sentences."""
    items = f"{report.items:,} items"
    yield Text(f"{report.copied:,} of {items}: word for word in one training sequence, every {report.ngram}-gram.")
    if report.overlapping is None or report.expected is None:
        yield Text(
            "No item is known to be clean, so nothing says which overlap or influence is usual: values, no scores. "
            "Give --clean items of the same kind that cannot be in the training data.",
            style="yellow",
        )
        return
    level = f"{report.level:.0%}"
    yield Text(
        f"{report.overlapping:,} of {items}: found in the training text, more of their n-grams than but {level} of "
        f"clean items have; of these {report.mattering:,}: the text influences the gold answer more than it does for "
        "any clean item."
    )
    yield Text(
        f"{report.influenced:,} of {items}: larger influences on the gold answer than but {level} of clean items have."
    )
    yield Text(
        f"{report.flagged:,} of {items}: a score of at most {report.level:g}. Were all of them clean, "
        f"{report.expected:.1f} would have one by chance."
    )


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
