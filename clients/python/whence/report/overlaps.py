"""The section of overlaps: what outputs share with the nearest training text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.report.about import counted, fact_line, warnings, work
from whence.report.tables import cut, row, table
from whence.results import TextOverlap, TextOverlaps

_ROWS: Final = 500
_TEXT: Final = 300


def text_overlaps(result: TextOverlaps) -> Iterator[Markup]:
    """Yield the parts of the section of overlaps: a row for each query."""
    whole = sum(overlap.share == 1 for overlap in result)
    yield fact_line([counted(len(result), "query", "queries"), f"{whole:,} of them wholly in one training sequence"])
    yield warnings(result.warnings)
    about = (
        "The share of a query's runs of tokens (n-grams) that the nearest training sequence has, too; 100% is a copy."
    )
    heads = ["query", "nearest training sequence", "shared", "longest run", "sequences with any"]
    rows = [_row(overlap, place) for place, overlap in enumerate(result.overlaps[:_ROWS], 1)]
    yield table(heads, rows, label="Overlap with the training text", about=about, texts=2)
    if len(rows) < len(result):
        yield element("p", f"The first {len(rows):,} queries are shown.", class_="soft small")
    yield work(result)


def _row(overlap: TextOverlap, place: int) -> Markup:
    return row(
        overlap.query_id or f"query {place}",
        element("td", _nearest(overlap)),
        element("td", f"{overlap.share:.0%} of {overlap.ngrams:,}", class_="num"),
        element("td", f"{overlap.longest_run:,} tokens", class_="num"),
        element("td", f"{overlap.sequences:,}", class_="num"),
    )


def _nearest(overlap: TextOverlap) -> Markup:
    near = overlap.nearest
    if near is None:
        return joined("none")
    text = near.text if len(near.text) <= _TEXT else f"{near.text[:_TEXT]}…"
    name = element("span", cut(near.sequence_id), class_="soft")
    return joined(cut(near.source), " ", name, element("p", text, class_="text small", dir="auto"))
