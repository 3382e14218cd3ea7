"""Small work runs where it is asked for; other work leaves the event loop free."""

from __future__ import annotations

import threading

from whence_backends.worker.runtime.offload import offload


async def test_only_small_work_runs_on_the_event_loop():
    assert await offload(threading.get_ident, small=True) == threading.get_ident()
    assert await offload(threading.get_ident, small=False) != threading.get_ident()
