"""What the commands of ``whence validate`` print of plans and runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from whence.terminal import printable

if TYPE_CHECKING:
    from whence_backends.certificates import Certificate
    from whence_backends.validation.plan import Plan, Run


def plan_summary(plan: Plan, missing: int, folder: Path) -> Text:
    """Return the runs of a plan in words, and the next step."""
    kinds = [run.kind.value for run in plan.runs]
    config = plan.config
    sources = f", {kinds.count('without')} without a source" if config.without else ""
    removed = f", {kinds.count('removal')} without the first documents of a ranking" if plan.removals else ""
    return Text(
        printable(
            f"{len(plan.runs)} runs: {kinds.count('full')} of all {len(plan.documents):,} documents, "
            f"{kinds.count('subset')} of random parts of {config.alpha:.0%} ({config.subsets} parts, {config.repeats} "
            f"of them twice){sources}{removed}. {missing} are still to be measured. "
            f"The ids of each run's documents are in {folder}/documents; next: whence validate run, or train them "
            "yourself and whence validate measure."
        )
    )


def measured_line(run: Run, missing: int) -> Text:
    """Return the line that says which run was measured, and what is left."""
    return Text(printable(f"run {run.number} ({run.name}, seed {run.seed}) is measured; {_left(missing)}"))


def trained_line(plan: Plan, missing: int, folder: Path) -> Text:
    """Return the line that says how many runs are measured, and the next step."""
    done = len(plan.runs) - missing
    return Text(
        printable(
            f"{done} of {len(plan.runs)} runs are measured; {_left(missing)}: whence validate report --bank {folder}"
        )
    )


def certified_line(certificate: Certificate, folder: Path) -> Text:
    """Return the essence of a certificate, and where the files are."""
    from whence_backends.certificates import essence

    return Text(
        printable(
            f"Certificate: {essence(certificate)}. The page is {folder}/report.html; serve the certificate with "
            f"`whence worker --certificate {folder}/certificate`."
        )
    )


def _left(missing: int) -> str:
    return f"{missing} to go" if missing else "none is missing"
