"""What a check found: a refusal, or a warning that whoever asks is told of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from whence.errors import WhenceError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that does not fit. ``error`` refuses the work; a finding without one is a warning."""

    reason: str
    message: str
    error: WhenceError | None = None


def refusal(error: WhenceError) -> Finding:
    """Return what keeps the work from being done."""
    return Finding(reason=error.reason, message=error.message, error=error)


def warning(reason: str, message: str) -> Finding:
    """Return what is worth telling, and keeps nobody from working."""
    return Finding(reason=reason, message=message)


def require(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the warnings among findings, or raise the error of the first refusal."""
    found = tuple(findings)
    for finding in found:
        if finding.error is not None:
            raise finding.error
    return found
