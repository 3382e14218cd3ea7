"""The result of a check: a refusal, or a warning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from whence.errors import WhenceError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding: a refusal if it has an ``error``, otherwise a warning."""

    reason: str
    message: str
    error: WhenceError | None = None


def refusal(error: WhenceError) -> Finding:
    """Return a finding that refuses the work."""
    return Finding(reason=error.reason, message=error.message, error=error)


def warning(reason: str, message: str) -> Finding:
    """Return a finding that does not prevent the work."""
    return Finding(reason=reason, message=message)


def require(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the warnings among findings, or raise the error of the first refusal."""
    listed = tuple(findings)
    for finding in listed:
        if finding.error is not None:
            raise finding.error
    return listed
