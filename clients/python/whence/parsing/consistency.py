"""Answers that contradict themselves are refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from whence.errors import InternalError
from whence.reasons import Reason

P = ParamSpec("P")
R = TypeVar("R")


def consistent(parse: Callable[P, R]) -> Callable[P, R]:
    """Raise ``InternalError`` (``INVALID_ANSWER``) for the ``ValueError`` of a message that contradicts itself."""

    @wraps(parse)
    def parse_or_refuse(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return parse(*args, **kwargs)
        except ValueError as error:
            raise InternalError(
                f"the server's answer contradicts itself: {error}; are client and server of one version?",
                reason=Reason.INVALID_ANSWER,
            ) from error

    return parse_or_refuse
