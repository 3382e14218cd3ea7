"""The thread that owns the engine. Everything that touches the engine is a job of this thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from whence.errors import UnavailableError
from whence.reasons import Reason
from whence_backends.worker.runtime.records import JobRecord, WorkerObserver, ignore
from whence_service.rpc.fair_queue import FairQueue
from whence_service.rpc.identity import current_identity
from whence_service.rpc.stages import Stopwatch

_T = TypeVar("_T")


@dataclass(kw_only=True)
class _Job:
    """A function to run, and the future of the event loop that gets its result. The thread notes when it ``began``."""

    work: Callable[[], Any]
    tenant: str
    future: asyncio.Future[Any]
    began: float = 0.0

    def run(self) -> None:
        """Run the function, on the engine's thread, unless nobody waits for it any more."""
        if self.future.cancelled():
            return
        self.began = time.perf_counter()
        try:
            result = self.work()
        except BaseException as error:  # it is the caller's
            self.fail(error)
        else:
            self._deliver(self.future.set_result, result)

    def fail(self, error: BaseException) -> None:
        """Have the caller get an error, on the engine's thread."""
        self._deliver(self.future.set_exception, error)

    def _deliver(self, settle: Callable[[Any], None], outcome: object) -> None:
        loop = self.future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if self.future.done() else settle(outcome))


class EngineThread:
    """Runs jobs one at a time, off the event loop: a tenant's in order of arrival, and each tenant for the same time.

    A job whose caller is cancelled before its turn is dropped. One that has begun runs to its end, and its result is
    discarded. State: the number of callers that wait, whose owner is the event loop; the jobs in turn, which only the
    thread knows. It has a queue of its own instead of an executor, whose futures have a lock that the event loop and
    the thread contend for in each job.
    """

    def __init__(self, name: str = "engine", *, observe: WorkerObserver = ignore) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._observe = observe
        self._waiting = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"EngineThread({'closed' if self._closed else 'open'}, waiting={self._waiting})"

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a job, the running one included."""
        return self._waiting

    async def run(self, work: Callable[[], _T], *, stage: str = "other", stopwatch: Stopwatch | None = None) -> _T:
        """Return the result of the job, or raise its error. Its time counts as the ``stage`` of ``stopwatch``.

        Raises :class:`~whence.errors.UnavailableError` (``WORKER_UNAVAILABLE``) after :meth:`close`.
        """
        if self._closed:
            raise shutting_down()
        if self._thread.ident is None:  # a worker that never loads has no thread
            self._thread.start()
        submitted = time.perf_counter()
        job = _Job(work=work, tenant=current_identity().tenant, future=asyncio.get_running_loop().create_future())
        self._waiting += 1
        self._jobs.put(job)
        try:
            result: _T = await job.future
        finally:
            self._waiting -= 1
        ended = time.perf_counter()
        wait_s, duration_s = job.began - submitted, ended - job.began
        self._observe(JobRecord(stage=stage, wait_s=wait_s, duration_s=duration_s))
        if stopwatch is not None:
            stopwatch.add("engine_wait", wait_s, ended_s=job.began)
            stopwatch.add(stage, duration_s, ended_s=ended)
        return result

    async def close(self) -> None:
        """Drop the jobs that wait, let the running one end, and join the thread."""
        self._closed = True
        self._jobs.put(None)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        """Run jobs until :meth:`close`, on the engine's thread. None is kept while the next one is waited for."""
        waiting: FairQueue[_Job] = FairQueue()
        while self._fetch(waiting):
            if (turn := waiting.pop()) is None:
                continue
            tenant, job = turn
            waiting.begin(tenant)
            began = time.perf_counter()
            job.run()
            waiting.charge(tenant, time.perf_counter() - began)
            del turn, job
        for job in waiting:
            job.fail(shutting_down())

    def _fetch(self, waiting: FairQueue[_Job]) -> bool:
        """Move the jobs that arrived into the fair queue, waiting for one where there is none; false once closed."""
        closed = False
        with contextlib.suppress(queue.Empty):
            while True:
                arrived = self._jobs.get(block=not waiting and not closed)
                if arrived is None:
                    closed = True
                else:
                    waiting.push(arrived.tenant, arrived)
        return not closed


def shutting_down() -> UnavailableError:
    """Return the error of a call to a worker that is shutting down."""
    return UnavailableError("this worker is shutting down; ask another replica", reason=Reason.WORKER_UNAVAILABLE)
