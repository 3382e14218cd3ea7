"""The end of an answer that comes in parts, when the caller's credentials end before it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from whence.errors import UnauthenticatedError
from whence.reasons import Reason

T = TypeVar("T")


async def until(expires_at: float | None, responses: AsyncIterator[T]) -> AsyncGenerator[T]:
    """Yield ``responses`` until ``expires_at``, in seconds since the epoch; None: all of them.

    Then raises :class:`~whence.errors.UnauthenticatedError` (``CREDENTIALS_EXPIRED``) at once, in the middle of a wait
    for the next response too, which is cancelled.
    """
    while True:
        # From the clock of the wall each time, which may be set in between.
        remaining_s = None if expires_at is None else expires_at - time.time()
        if remaining_s is not None and remaining_s <= 0:
            raise _expired()
        limit = asyncio.timeout(remaining_s)
        try:
            async with limit:
                response = await anext(responses)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            if limit.expired():
                raise _expired() from error
            raise
        yield response


def _expired() -> UnauthenticatedError:
    return UnauthenticatedError(
        "the credentials of this call expired before its answer was complete; what arrived is not the whole answer: "
        "get new ones and call again",
        reason=Reason.CREDENTIALS_EXPIRED,
    )
