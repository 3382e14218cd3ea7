"""The report of a run over many queries."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from whence.bulk import BulkReport
from whence.terminal import printable


def bulk_report(report: BulkReport) -> RenderableType:
    """Return the counts of a run, and the queries that were refused."""
    asked = report.queries - report.resumed
    rate = f", {asked / report.seconds:.1f} a second" if asked and report.seconds else ""
    earlier = f", {report.resumed:,} of them by an earlier run" if report.resumed else ""
    lines = [Text(f"{report.queries:,} queries{earlier}: {report.hits:,} hits in {report.table}{rate}")]
    return Group(*lines, *refused(report), *served_changed(report))


def refused(report: BulkReport) -> Iterator[Text]:
    """Yield the queries that were refused, if any."""
    if report.refused:
        were = "was" if report.refused == 1 else "were"
        yield Text(f"{report.refused:,} {were} refused, and in the table with an error:", style="yellow")
        for refusal in report.refusals:
            yield Text(f"  {printable(refusal.query_id)}: {printable(refusal.message)}")
        if report.refused > len(report.refusals):
            yield Text(f"  and {report.refused - len(report.refusals):,} more")


def served_changed(report: BulkReport) -> Iterator[Text]:
    """Yield a warning where not all answers are of the same artefacts."""
    if report.provenances > 1:
        changed = f"What is served changed {report.provenances - 1} times under the run: see the table's provenance."
        yield Text(changed, style="yellow")
