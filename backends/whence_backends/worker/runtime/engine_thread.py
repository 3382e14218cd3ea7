"""The thread that owns the engine. Everything that touches the engine is a job of this thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from whence.errors import UnavailableError
from whence.reasons import Reason
from whence_backends.worker.runtime.records import JobRecord, WorkerObserver, ignore
from whence_service.rpc.stages import Stopwatch

_T = TypeVar("_T")


class EngineThread:
    """Runs jobs one at a time, in order of arrival, off the event loop.

    A job whose caller is cancelled before its turn is dropped. One that has begun runs to its end, and its result is
    discarded. State: the number of callers that wait. Owner: the event loop.
    """

    def __init__(self, name: str = "engine", *, observe: WorkerObserver = ignore) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._observe = observe
        self._waiting = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"EngineThread({'closed' if self._closed else 'open'}, waiting={self._waiting})"

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a job, the running one included."""
        return self._waiting

    async def run(self, job: Callable[[], _T], *, stage: str = "other", stopwatch: Stopwatch | None = None) -> _T:
        """Return the result of the job, or raise its error. Its time counts as the ``stage`` of ``stopwatch``.

        Raises :class:`~whence.errors.UnavailableError` (``WORKER_UNAVAILABLE``) after :meth:`close`.
        """
        if self._closed:
            raise shutting_down()
        submitted = time.perf_counter()

        def timed() -> tuple[_T, float]:
            began = time.perf_counter()
            return job(), began

        self._waiting += 1
        try:
            result, began = await asyncio.wrap_future(self._executor.submit(timed))
        except asyncio.CancelledError:
            if self._closed and not _is_being_cancelled():
                raise shutting_down() from None
            raise
        finally:
            self._waiting -= 1
        duration_s = time.perf_counter() - began
        self._observe(JobRecord(stage=stage, wait_s=began - submitted, duration_s=duration_s))
        if stopwatch is not None:
            stopwatch.add("engine_wait", began - submitted)
            stopwatch.add(stage, duration_s)
        return result

    async def close(self) -> None:
        """Drop the jobs that wait, let the running one end, and join the thread."""
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._executor.shutdown, wait=True)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def shutting_down() -> UnavailableError:
    """Return the error of a call to a worker that is shutting down."""
    return UnavailableError("this worker is shutting down; ask another replica", reason=Reason.WORKER_UNAVAILABLE)
