"""Checks: a line for each, with advice under those that are not in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from whence.cli.checks.check import Check, Outcome
from whence.terminal import printable

_STYLES: Final = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAIL: "bold red"}
_WIDTH: Final = max(len(outcome.value) for outcome in Outcome)


def check(done: Check) -> Text:
    """Return a line with the outcome, the name and the finding of a check, and a line with its advice."""
    line = Text.assemble(
        (done.outcome.value.ljust(_WIDTH), _STYLES[done.outcome]),
        f"  {printable(done.name)}: {printable(done.fact)}",
    )
    if done.advice:
        line.append(f"\n{'':{_WIDTH}}  try: {printable(done.advice)}", style="cyan")
    return line


def verdict(done: Sequence[Check]) -> Text:
    """Return the last line: all checks passed, or the number that failed."""
    failed = sum(check.outcome is Outcome.FAIL for check in done)
    warned = sum(check.outcome is Outcome.WARNING for check in done)
    if failed:
        return Text(f"{failed} of {len(done)} checks failed.", style="bold red")
    return Text(f"All {len(done)} checks passed" + (f", {warned} with a warning." if warned else "."), style="green")
