"""The most influential sequences over all failures of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.report.marks import signed
from whence.report.runs.summary import SequenceTally, Summary
from whence.report.tables import cut, row, table

_SEQUENCES: Final = 25
_EXCERPT: Final = 240


def leading_sequences(summary: Summary) -> Iterator[Markup]:
    """Yield the table of the sequences that are told from noise in the most failures."""
    tallies = summary.leading(_SEQUENCES)
    if not tallies:
        return
    over = "wrong answers" if summary.judged else "outputs"
    yield element("h3", f"The most influential sequences over all {'failures' if summary.judged else 'outputs'}")
    columns = ["sequence", f"told from noise in {over}", f"listed in {over}", "signal, nats"]
    columns += ["told from noise in right answers"] if summary.judged else []
    about = (
        f"By the number of {over} in which the sequence is told from noise, then by its signal summed over them. "
        + ("" if summary.judged else "This table does not say which outputs were wrong. ")
        + "Only listed hits count."
    )
    rows = [_tally(tally, summary) for tally in tallies]
    yield table(columns, rows, label="The most influential sequences", about=about, kind="wide leads")


def _tally(tally: SequenceTally, summary: Summary) -> Markup:
    sums = tally.of(False if summary.judged else None)
    words = tally.text if len(tally.text) <= _EXCERPT else f"{tally.text[:_EXCERPT]}…"
    shown = element("p", words, class_="text small", dir="auto") if words else joined()
    cells = [
        element("td", f"{sums.significant:,}", class_="num"),
        element("td", f"{sums.hits:,}", class_="num"),
        element("td", signed(sums.signal) if summary.with_signal else "", class_="num"),
    ]
    if summary.judged:
        cells.append(element("td", f"{tally.of(True).significant:,}", class_="num soft"))
    name = element("span", cut(tally.sequence_id), class_="soft")
    return row(joined(cut(tally.source), " ", name, shown), *cells)
