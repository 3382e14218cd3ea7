"""Checks, for people: a line for each, with what to try under those that are not in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from whence.cli.checks.check import Check, Outcome
from whence.terminal import printable

_STYLES: Final = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAIL: "bold red"}
_WIDTH: Final = max(len(outcome.value) for outcome in Outcome)


def check(done: Check) -> Text:
    """Return ``ok``, ``warning`` or ``fail``, what was looked at and found, and what to try."""
    line = Text.assemble(
        (done.outcome.value.ljust(_WIDTH), _STYLES[done.outcome]),
        f"  {printable(done.name)}: {printable(done.found)}",
    )
    if done.advice:
        line.append(f"\n{'':{_WIDTH}}  try: {printable(done.advice)}", style="cyan")
    return line


def verdict(done: Sequence[Check]) -> Text:
    """Return the last line: all in order, or how much is not."""
    failed = sum(one.outcome is Outcome.FAIL for one in done)
    warned = sum(one.outcome is Outcome.WARNING for one in done)
    if failed:
        return Text(f"{failed} of {len(done)} checks failed.", style="bold red")
    return Text(f"All {len(done)} checks passed" + (f", {warned} with a warning." if warned else "."), style="green")
