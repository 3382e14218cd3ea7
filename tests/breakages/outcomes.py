"""What came of a breakage, as its tests' own report says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from subprocess import CompletedProcess


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``verdict`` is noticed, UNNOTICED or skipped; ``reason`` says why it was skipped."""

    verdict: str
    reason: str = ""

    def line(self, name: str) -> str:
        """Return the line that is printed for the breakage ``name``."""
        return f"{self.verdict:9}  {name}" + (f": {self.reason}" if self.reason else "")


def outcome(tests: CompletedProcess[str]) -> Outcome:
    """Return the outcome of ``tests``, a run of pytest that ended with 0 or 1.

    Tests that were all skipped, because a program is missing here, notice nothing and overlook nothing.
    """
    if tests.returncode == 1:
        return Outcome(verdict="noticed")
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", tests.stdout, re.M)
    if skipped and not re.search(r"\b\d+ (?:passed|xfailed)\b", tests.stdout):
        return Outcome(verdict="skipped", reason=skipped[0])
    return Outcome(verdict="UNNOTICED")
