"""The report of a matrix of scores."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from whence.bulk.matrix import MatrixRefusal, MatrixReport
from whence.cli.render import answer
from whence.display import wording
from whence.terminal import printable


def matrix_report(report: MatrixReport) -> RenderableType:
    """Return the size of a matrix, what was refused, and what its scores were computed with."""
    asked = report.scores - report.resumed
    rate = f", {asked / report.seconds:,.1f} a second" if asked > 0 and report.seconds else ""
    earlier = f", {report.resumed:,} of them by an earlier run" if report.resumed else ""
    size = f"{report.queries:,} queries by {report.sequences:,} sequences: {report.scores:,} scores{earlier}"
    lines = [Text(f"{size}, in {report.table}{rate}")]
    if report.refused:
        were = "was" if report.refused == 1 else "were"
        lines.append(Text(f"{report.refused:,} {were} refused, and without scores in the table:", style="yellow"))
        lines += [Text(printable(f"  {_located(refusal)}")) for refusal in report.refusals]
        if report.refused > len(report.refusals):
            lines.append(Text(f"  and {report.refused - len(report.refusals):,} more"))
    facts = (report.provenance.certificate.sentence, wording.origin(report.provenance))
    return Group(*lines, *answer.warnings(report.warnings), *(Text(printable(fact), style="dim") for fact in facts))


def _located(refusal: MatrixRefusal) -> str:
    """Return the message of a refusal, with its row and file in front where it does not name them."""
    row = f"row {refusal.row} of {refusal.file}"
    if row in refusal.message:
        return refusal.message
    if refusal.message.startswith(f"row {refusal.row} "):
        return f"{refusal.file}: {refusal.message}"
    return f"{row}, {refusal.name}: {refusal.message}"
