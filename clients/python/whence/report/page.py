"""The page of a report: one file that needs nothing else, and in which nothing can run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from whence.display.markup import Markup, element, joined
from whence.report.about import fact_line, provenances
from whence.report.guide import guide, key
from whence.report.runs.run import Run
from whence.report.runs.sections import run_sections
from whence.report.sections import Section, sections
from whence.report.style import STYLE
from whence.results import Answer
from whence.saved import Result, Saved

# Nothing is loaded and nothing runs, whatever a text of the corpus may hold.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
# Sections that would make the page longer than this are left out, and named.
LARGEST_BYTES: Final = 12_000_000
# Queries of a run that are shown in full.
FULL: Final = 50
_FOLDED: Final = 12


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report as HTML, the number of its sections, and the names of those that were left out for its size."""

    html: str
    sections: int
    left_out: tuple[str, ...]


def html_report(
    results: Iterable[Result | Saved | Run], *, title: str = "", full: int = FULL, made: datetime | None = None
) -> Report:
    """Return the report of results. Arguments: :func:`whence.report.html`."""
    wanted = [section for result in results for section in _sections(result, full)]
    heading = title or _title(wanted)
    drawn, left_out, size = list[Markup](), list[str](), 0
    for place, section in enumerate(wanted, 1):
        markup = section.markup(f"r{place}", heading) if size < LARGEST_BYTES else Markup()
        size += len(markup.encode("utf-8", "replace"))
        if markup and size <= LARGEST_BYTES:
            drawn.append(markup)
        else:
            left_out.append(section.name)
    answers = [section.answer for section in wanted if section.answer is not None]
    body = joined(
        element("a", "Skip to the results", href="#results", class_="skip"),
        _masthead(heading, answers, len(wanted), made or datetime.now(UTC)),
        element("main", *_main(wanted, drawn, left_out, answers), id="results"),
        element("footer", element("p", _FOOT)),
    )
    page = f"<!DOCTYPE html>\n{element('html', _head(heading), element('body', body), lang='en')}\n"
    return Report(html=page, sections=len(drawn), left_out=tuple(left_out))


def _sections(result: Result | Saved | Run, full: int) -> Iterator[Section]:
    if isinstance(result, Run):
        yield from run_sections(result, full)
    else:
        yield from sections(result if isinstance(result, Saved) else Saved(result=result))


def _head(title: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLE)),
    )


def _title(wanted: Sequence[Section]) -> str:
    return wanted[0].eyebrow if len(wanted) == 1 else "Where these outputs came from"


def _masthead(title: str, answers: Sequence[Answer], count: int, made: datetime) -> Markup:
    models = list(dict.fromkeys(answer.provenance.model for answer in answers))
    facts = [
        *(joined("model ", element("b", name)) for name in models[:4]),
        f"{count:,} section{'s' if count != 1 else ''}" if count > 1 else "",
        f"report of {made.astimezone(UTC):%Y-%m-%d}",
    ]
    return element(
        "header",
        element("p", "Training data attribution", class_="eyebrow"),
        element("h1", title),
        fact_line(fact for fact in facts if fact),
        key(),
        class_="masthead",
    )


def _main(
    wanted: Sequence[Section], drawn: Sequence[Markup], left_out: Sequence[str], answers: Sequence[Answer]
) -> Iterator[Markup]:
    yield guide()
    if len(drawn) > 1:
        yield _contents(wanted[: len(drawn)])
    yield from drawn
    if left_out:
        names = ", ".join(left_out[:20])
        more = f", and {len(left_out) - 20:,} more" if len(left_out) > 20 else ""
        size = f"{LARGEST_BYTES // 1_000_000} MB"
        yield element("p", f"Left out, since the file would be larger than {size}: {names}{more}.", class_="note")
    if answers:
        head = element("header", element("h2", "What this was computed with"))
        yield element("section", head, provenances(answers), class_="card", id="provenance")


def _contents(shown: Sequence[Section]) -> Markup:
    links = [
        element("li", element("a", section.name, href=f"#r{place}"), element("span", section.eyebrow))
        for place, section in enumerate(shown, 1)
    ]
    summary = element("summary", f"Contents: {len(links):,} sections")
    is_open = {"open": "open"} if len(links) <= _FOLDED else {}
    folded = element("details", summary, element("ol", *links), **is_open)
    return element("nav", folded, class_="guide toc", aria_label="Contents")


_FOOT: Final = (
    "Made by Whence (whence report). Influences are estimates to first order, of EK-FAC influence functions; they "
    "promise nothing. This file has no script and asks no other host for anything."
)
