"""The queries of a run that are not shown in full, a row for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.report.marks import signed
from whence.report.runs.run import AskedRow
from whence.report.tables import cut, row, table
from whence.significance import is_significant

VERDICTS: Final = {True: "right", False: "wrong"}
_HEADS: Final = ("query", "task", "answer", "first hit", "log-likelihood", "told from noise", "its signal")
_LONGEST: Final = 300


def other_queries(rows: Sequence[Markup], count: int) -> Iterator[Markup]:
    """Yield the table of ``count`` queries, of which the first have rows."""
    yield table(_HEADS, rows, label="The other queries", texts=4)
    if len(rows) < count:
        yield element("p", f"{count - len(rows):,} more are in the table itself.", class_="soft")


def short_row(query: AskedRow) -> Markup:
    """Return the row of a query: its first hit, or why it was refused."""
    verdict = "" if query.correct is None else VERDICTS[query.correct]
    kind = {"right": "pos", "wrong": "neg"}.get(verdict, "")
    before = (element("td", cut(query.task)), element("td", verdict, class_=kind))
    if query.error:
        return row(query.query_id, *before, element("td", query.error[:_LONGEST], colspan=4, class_="soft"))
    return row(query.query_id, *before, *_numbers(query))


def _numbers(query: AskedRow) -> Iterator[Markup]:
    first = next(iter(query.hits), None)
    significant = sum(is_significant(hit["significance"]) for hit in query.hits)
    likelihood = query.rows[0]["log_likelihood"]
    yield element("td", "no hit" if first is None else _named(first["source"] or "", first["sequence_id"] or ""))
    yield element("td", "" if likelihood is None else f"{likelihood:.2f}", class_="num")
    yield element("td", f"{significant:,} of {len(query.hits):,}", class_="num")
    yield element("td", "" if first is None or first["signal"] is None else signed(first["signal"]), class_="num")


def _named(source: str, sequence_id: str) -> Markup:
    return joined(cut(source), " ", element("span", cut(sequence_id), class_="soft"))
