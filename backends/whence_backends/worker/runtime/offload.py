"""Work off the event loop, unless it is too small to be worth a thread: waking one takes about 0.1 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def offload(work: Callable[[], _T], *, small: bool) -> _T:
    """Return the result of ``work``, which runs on the event loop if it is ``small``, else in a thread.

    Small is what takes less than about a millisecond and reads no file.
    """
    return work() if small else await asyncio.to_thread(work)
