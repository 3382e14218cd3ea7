"""The sections of a run: its sums, its first queries in full, the others as rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from whence.display.markup import Markup, element
from whence.queries import Query
from whence.report.about import counted_warnings, fact_line, pairs
from whence.report.asked import exchange, turn
from whence.report.attributions import attribution
from whence.report.runs.leading import leading_sequences
from whence.report.runs.matrix import by_task, by_verdict
from whence.report.runs.others import VERDICTS, other_queries, short_row
from whence.report.runs.run import AskedRow, Run
from whence.report.runs.summary import Summary
from whence.report.sections import Section

# Queries that have a row; of more the table itself tells.
_ROWS: Final = 1_000
# What a query brought along that the section shows elsewhere.
_SHOWN: Final = ("task", "correct", "answer", "target", "log_likelihood", "doc_hash", "filter")
_LONGEST: Final = 300


def run_sections(run: Run, full: int) -> Iterator[Section]:
    """Yield the sections of a run, which is read once: the sums, ``full`` queries, the others."""
    summary, first, rows = Summary(), list[AskedRow](), list[Markup]()
    for query in run.queries():
        summary.see(query)
        if len(first) < full and not query.error:
            first.append(query)
        elif len(rows) < _ROWS:
            rows.append(short_row(query))
    answers = [query.attribution() for query in first]
    yield Section(
        label=run.name,
        eyebrow="A run of many queries",
        parts=_summed(summary, run),
        answer=answers[0] if answers else None,
    )
    asked = run.asked_in({query.number: query.query_id for query in first})
    for query, answer in zip(first, answers, strict=True):
        parts = _query(query, asked.get(query.number))
        yield Section(label=query.query_id, eyebrow=_eyebrow(query), parts=parts, answer=answer)
    others = summary.queries - len(first)
    if others:
        yield Section(label=f"The other {others:,} queries", eyebrow="In short", parts=other_queries(rows, others))


def _eyebrow(query: AskedRow) -> str:
    verdict = "" if query.correct is None else f"{VERDICTS[query.correct]} answer"
    return " · ".join(part for part in (query.task, verdict) if part) or "Where this output came from"


def _query(query: AskedRow, asked: Query | None) -> Iterator[Markup]:
    own = query.own
    yield exchange(asked)
    turns = [
        turn(role, own[name], is_output=name == "answer")
        for name, role in (
            ("answer", "answer"),
            ("target", "target"),
        )
        if name in own
    ]
    if turns:
        yield element("div", *turns, class_="exchange")
    yield from attribution(query.attribution(), of_batch=True)
    others = [(name, value[:_LONGEST]) for name, value in own.items() if name not in _SHOWN]
    if others:
        yield element("details", element("summary", "Other columns of this query"), pairs(others))


def _summed(summary: Summary, run: Run) -> Iterator[Markup]:
    yield _settings(run)
    yield _tiles(summary)
    yield from _changes(run)
    yield from _complaints(summary)
    if not summary.with_signal and summary.all.hits:
        unknown = " The noise of these queries is not known, so hits are counted below, and nothing is summed."
        yield element("p", element("b", "No hit has a signal."), unknown, class_="note")
    if summary.all.hits:
        yield from by_verdict(summary)
        yield from by_task(summary)
        yield from leading_sequences(summary)


def _tiles(summary: Summary) -> Markup:
    right = sum(count for column, count in summary.answers.items() if column.correct)
    judged = sum(count for column, count in summary.answers.items() if column.correct is not None)
    tiles = [
        ("Queries", f"{summary.queries:,}", f"{summary.refused:,} refused" if summary.refused else "none refused"),
        ("Right", f"{right:,} of {judged:,}", f"{judged - right:,} wrong") if judged else ("", "", ""),
        ("Hits listed", f"{summary.all.hits:,}", f"{summary.all.significant:,} told from noise"),
        (
            "Training sequences",
            f"{len(summary.sequences):,}",
            f"of {len(summary.sources()):,} sources, among these hits",
        ),
    ]
    drawn = [
        element("div", element("dt", name), element("dd", value), element("dd", more, class_="more"))
        for name, value, more in tiles
        if name
    ]
    return element("dl", *drawn, class_="tiles")


def _settings(run: Run) -> Markup:
    """Return the file of the queries and the options that were given."""
    settings = run.about.get("settings") or {}
    files = [f"{name}: {PurePath(str(settings[name])).name}" for name in ("queries", "samples") if settings.get(name)]
    given = {name: value for name, value in (settings.get("options") or {}).items() if value not in (None, False, "()")}
    options = [f"{name.replace('_', ' ')}: {value}" for name, value in given.items() if value is not True]
    return fact_line([*files, *options])


def _changes(run: Run) -> Iterator[Markup]:
    entries = run.about.get("provenance") or ()
    if len(entries) > 1:
        rows = ", ".join(str(entry.get("first_row")) for entry in entries[1:])
        yield element("p", f"What was served changed during the run, at row {rows}: sums mix both.", class_="note")


def _complaints(summary: Summary) -> Iterator[Markup]:
    lines = [f"{count:,} queries were refused: {reason}" for reason, count in summary.refusals.most_common(8)]
    lines += [f"{summary.without_hits:,} answers have no hit"] if summary.without_hits else []
    if lines:
        yield fact_line(lines)
    yield counted_warnings(summary.warnings)
