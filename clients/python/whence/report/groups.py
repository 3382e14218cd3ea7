"""The section of influences of groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from whence.display import wording
from whence.display.markup import Markup, element
from whence.display.wording import number
from whence.report.about import fact_line, warnings, work
from whence.report.charts import bar
from whence.report.marks import signed
from whence.report.tables import hidden, row, table
from whence.results import GroupInfluence, GroupInfluences

_SHOWN: Final = 100


def group_influences(result: GroupInfluences) -> Iterator[Markup]:
    """Yield the parts of the section of groups, after what was asked."""
    yield fact_line(
        [
            f"log-likelihood of the output {result.log_likelihood:.3f} nats",
            f"{len(result.groups):,} groups of {result.total.sequences:,} sequences",
        ]
    )
    yield warnings(result.warnings)
    yield element("h3", "How much comes from each group")
    known = result.total.signal is not None
    most = max((abs(group.effect) for group in result), default=0.0)
    half = _SHOWN // 2
    groups = list(result.groups)
    shown = groups if len(groups) <= _SHOWN else [*groups[:half], *groups[-half:]]
    rows = [_row(group, group.name or "(none)", most, known=known) for group in shown]
    if len(groups) > len(shown):
        left_out = element("td", f"… {len(groups) - len(shown):,} groups between these", colspan=6, class_="soft")
        rows.insert(half, element("tr", left_out))
    rows.append(_row(result.total, "all", 0.0, known=known))
    yield _table(rows, known=known)
    yield work(result)


def _table(rows: list[Markup], *, known: bool) -> Markup:
    names = [
        "group",
        hidden("bar"),
        *(["signal", "95 % interval"] if known else []),
        "influence",
        "± sampling",
        "sequences",
    ]
    about = (
        "Signal, in nats, is what the group's sequences add up to without their noise; the interval is for what is "
        "lost without the group, and an open end (…) means that a multiple may be."
        if known
        else "Influences, in nats, are summed with their noise; the error is that of the sample alone."
    )
    return table(names, rows, label="Influence of groups", about=about, texts=2)


def _row(group: GroupInfluence, name: str, most: float, *, known: bool) -> Markup:
    error = number(group.standard_error).lstrip("+") if group.standard_error else "exact"
    signal = (
        []
        if not known
        else [
            element("td", signed(group.signal) if group.signal is not None else "", class_="num"),
            element("td", "" if group.signal_low is None else wording.interval(group), class_="num soft"),
        ]
    )
    return row(
        name,
        element("td", bar(group.effect, most), class_="barcell"),
        *signal,
        element("td", number(group.influence), class_="num soft"),
        element("td", error, class_="num soft"),
        element("td", f"{group.sequences:,}", class_="num"),
    )
