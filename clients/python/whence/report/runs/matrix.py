"""Which sources are behind which tasks, and behind right and wrong answers: sums of signal over listed hits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from whence.display.markup import Markup, element
from whence.display.wording import number
from whence.report.about import counted
from whence.report.marks import largest, step
from whence.report.runs.summary import Column, Summary, Sums
from whence.report.tables import cut, row, table

_SOURCES: Final = 15
_COLUMNS: Final = 12
# In more columns the numbers of a cell stand one under the other.
_BESIDE: Final = 3
_LISTED: Final = "Only listed hits count: what is below the last hit of a query is not here."


class _Group(NamedTuple):
    """A row of the matrix."""

    name: str
    sources: list[str]


class _Head(NamedTuple):
    """A column of the matrix, and whether signal in it is behind wrong answers alone."""

    name: str
    columns: list[Column]
    hurts: bool


class _Entry(NamedTuple):
    """Sums, and their share of the sizes of the whole column."""

    sums: Sums
    share: float


def by_verdict(summary: Summary) -> Iterator[Markup]:
    """Yield the table of sources behind right and behind wrong answers, where it is known which are."""
    heads = [_judged(summary, correct=correct) for correct in (True, False)]
    if not all(head.columns for head in heads):
        return
    groups = _groups(summary)
    entries = _entries(summary, groups, heads)
    rows = [
        row(group.name, *cells, _lean(of_right.share, of_wrong.share))
        for group, cells, (of_right, of_wrong) in zip(groups, _cells(summary, entries, heads), entries, strict=True)
    ]
    about = (
        f"The share of each source in the {'signal' if summary.with_signal else 'number'} of all listed hits. A source "
        "that leans to wrong answers has more of their signal than of that of right ones, in points; whether that is "
        f"chance was not tested. Unlikely answers have larger signals, so compare shares, not sums. {_LISTED}"
    )
    yield element("h3", "Sources behind right and wrong answers")
    yield table(["source", *(head.name for head in heads), "leans to"], rows, label="Sources by verdict", about=about)


def by_task(summary: Summary) -> Iterator[Markup]:
    """Yield the matrix of sources and tasks."""
    heads, groups = _heads(summary), _groups(summary)
    cells = _cells(summary, _entries(summary, groups, heads), heads)
    rows = [row(group.name, *of_group) for group, of_group in zip(groups, cells, strict=True)]
    summed = "The signal of each source, summed in nats" if summary.with_signal else "The number of hits of each source"
    helps = (
        "A source helps a task by signal behind right answers (teal) and hurts it by signal behind wrong ones (orange)."
        if summary.judged
        else "Positive signal made the outputs more likely. This table does not say which outputs were right."
    )
    about = f"{summed}, and its share in the column. {helps} {_LISTED}"
    yield element("h3", "Which sources help and hurt which tasks" if len(heads) > 1 else "Sources behind these outputs")
    kind = "wide stacked" if len(heads) > _BESIDE else "wide"
    yield table(["source", *(head.name for head in heads)], rows, label="Sources by task", about=about, kind=kind)


def _judged(summary: Summary, *, correct: bool) -> _Head:
    columns = [column for column in summary.columns() if column.correct is correct]
    answers = sum(summary.answers[column] for column in columns)
    return _Head(f"behind {answers:,} {'right' if correct else 'wrong'} answers", columns, hurts=not correct)


def _heads(summary: Summary) -> list[_Head]:
    columns = summary.columns()
    heads = [_Head(_name(column, summary), [column], column.correct is False) for column in columns[:_COLUMNS]]
    rest = columns[_COLUMNS:]
    return [*heads, _Head(f"{len(rest):,} other columns", rest, hurts=False)] if rest else heads


def _name(column: Column, summary: Summary) -> str:
    verdict = {True: "right", False: "wrong", None: ""}[column.correct]
    parts = [part for part in (cut(column.task), verdict) if part]
    return f"{', '.join(parts) or 'all outputs'} ({summary.answers[column]:,})"


def _groups(summary: Summary) -> list[_Group]:
    sources = summary.sources()
    shown = [_Group(source or "(no source)", [source]) for source in sources[:_SOURCES]]
    rest = sources[_SOURCES:]
    return [*shown, _Group(f"{len(rest):,} other sources", rest)] if rest else shown


def _entries(summary: Summary, groups: Sequence[_Group], heads: Sequence[_Head]) -> list[list[_Entry]]:
    """Return the entries of a matrix, row by row."""
    totals = [
        sum(abs(_size(summary.over([source], head.columns), summary)) for source in summary.sources()) for head in heads
    ]
    sums_by_group = [[summary.over(group.sources, head.columns) for head in heads] for group in groups]
    return [
        [
            _Entry(sums, _size(sums, summary) / total if total else 0.0)
            for sums, total in zip(sums_of, totals, strict=True)
        ]
        for sums_of in sums_by_group
    ]


def _size(sums: Sums, summary: Summary) -> float:
    return sums.signal if summary.with_signal else sums.hits


def _cells(summary: Summary, entries: Sequence[Sequence[_Entry]], heads: Sequence[_Head]) -> Iterator[list[Markup]]:
    most = largest(entry.share for of_group in entries for entry in of_group)
    for of_group in entries:
        yield [_cell(entry, most, summary, hurts=head.hurts) for entry, head in zip(of_group, heads, strict=True)]


def _cell(entry: _Entry, most: float, summary: Summary, *, hurts: bool) -> Markup:
    sums, share = entry
    if not sums.hits:
        return element("td", element("span", "none", class_="unseen"), class_="num")
    summed = [element("span", f"{number(sums.signal)} nats", class_="small")] if summary.with_signal else []
    hits = element("span", f"{sums.hits:,} hit{'s' if sums.hits != 1 else ''}", class_="small")
    kind = step(-share if hurts else share, most)
    return element("td", element("b", f"{share:.0%}"), *summed, hits, class_=f"num tint {kind}".strip())


def _lean(of_right: float, of_wrong: float) -> Markup:
    points = round(100 * (of_wrong - of_right))
    if not points:
        return element("td", "neither", class_="num soft")
    verdict, sign = ("wrong", "neg") if points > 0 else ("right", "pos")
    return element(
        "td", element("span", f"{verdict}, by {counted(abs(points), 'point', 'points')}", class_=sign), class_="num"
    )
