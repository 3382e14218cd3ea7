"""The event loop of a server process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def run_process(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` to its end on uvloop, which takes less CPU time, or on Windows on asyncio's own loop."""
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        runner.run(main)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":  # for which there is no uvloop
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()
