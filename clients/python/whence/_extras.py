"""The error for a package that an extra of ours brings."""

from __future__ import annotations

from whence.errors import UnimplementedError
from whence.reasons import Reason


def not_installed(what: str, package: str, extra: str) -> UnimplementedError:
    """Return the error that ``what`` needs a package, which ``pip install 'whence[<extra>]'`` brings."""
    return UnimplementedError(
        f"{what} need {package}, which is not installed; try: pip install 'whence[{extra}]'",
        reason=Reason.MISSING_DEPENDENCY,
        package=package,
        extra=extra,
    )
