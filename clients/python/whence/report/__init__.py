"""Reports: results as one HTML file for a colleague, without scripts and without anything from elsewhere.

from whence import report

Path("report.html").write_text(report.html([answer, explanation], title="Why did it say Marrford?"))
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from whence.report.files import Inputs, read, with_queries
from whence.report.messages import exchange, is_exchange
from whence.report.page import FULL, Report, html_report
from whence.report.runs.run import Run
from whence.saved import Asked, Result, Saved

__all__ = [
    "FULL",
    "Asked",
    "Inputs",
    "Report",
    "Run",
    "Saved",
    "exchange",
    "html",
    "html_report",
    "is_exchange",
    "read",
    "with_queries",
]


def html(
    results: Iterable[Result | Saved | Run], *, title: str = "", full: int = FULL, made: datetime | None = None
) -> str:
    """Return one self-contained page of results: of the client's answers, or of what :func:`read` finds in files.

    :class:`Saved` adds to a result what was asked. A :class:`Run` is the table of many queries, of which the first
    ``full`` are shown whole. ``made`` is the date of the report, now unless given. What would make the page larger
    than 12 MB is left out, and the page says so.
    """
    return html_report(results, title=title, full=full, made=made).html
