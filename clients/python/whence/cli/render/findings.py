"""Findings of the preflight, printed before the work begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from whence.cli.console import stderr
from whence.terminal import printable

if TYPE_CHECKING:
    from whence_backends.preflight import Finding


def show_all(findings: Iterable[Finding]) -> None:
    """Print every finding as :func:`show` does."""
    for finding in findings:
        show(finding)


def show(finding: Finding) -> None:
    """Print a finding as a warning on stderr."""
    stderr().print(Text(printable(f"Warning: {finding.message} ({finding.reason})"), style="yellow"))
