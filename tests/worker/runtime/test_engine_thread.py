"""The thread that owns the engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from whence.errors import UnavailableError
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.runtime.records import JobRecord, WorkerRecord
from whence_service.rpc.identity import ANYONE, enter
from whence_service.rpc.stages import Stopwatch


@pytest.fixture
async def thread() -> AsyncIterator[EngineThread]:
    thread = EngineThread()
    yield thread
    await thread.close()


async def test_jobs_run_one_after_another_in_order_on_one_thread(thread: EngineThread):
    names: list[tuple[int, str]] = []
    jobs = [thread.run(lambda n=n: names.append((n, threading.current_thread().name))) for n in range(20)]
    await asyncio.gather(*jobs)
    assert [number for number, _ in names] == list(range(20))
    assert len({name for _, name in names}) == 1
    assert names[0][1] != threading.current_thread().name


async def test_tenants_take_turns_however_many_jobs_each_has(thread: EngineThread):
    gate, order = threading.Event(), list[str]()

    async def run(tenant: str) -> None:
        enter(replace(ANYONE, tenant=tenant))
        await thread.run(lambda: (time.sleep(0.01), order.append(tenant)))

    first = asyncio.create_task(thread.run(gate.wait))
    jobs = [asyncio.create_task(run(tenant)) for tenant in "aaaaaaaaab"]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *jobs)
    assert order.index("b") == 1


async def test_a_job_whose_caller_was_cancelled_before_its_turn_is_dropped(thread: EngineThread):
    gate, ran = threading.Event(), []
    first = asyncio.create_task(thread.run(gate.wait))
    second = asyncio.create_task(thread.run(lambda: ran.append("second")))
    third = asyncio.create_task(thread.run(lambda: ran.append("third")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second  # the loop has told the thread by now
    gate.set()
    await asyncio.gather(first, third)
    assert ran == ["third"]


async def test_a_job_that_has_begun_runs_to_its_end_though_its_caller_is_gone(thread: EngineThread):
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        gate.wait()
        ended.set()

    caller = asyncio.create_task(thread.run(job))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    gate.set()
    await thread.run(lambda: None)
    assert ended.is_set()


async def test_what_a_job_raises_reaches_its_caller_and_no_other(thread: EngineThread):
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 1) == 1


async def test_it_tells_how_many_wait_and_records_each_job():
    records: list[WorkerRecord] = []
    thread, gate, stopwatch = EngineThread(observe=records.append), threading.Event(), Stopwatch()
    jobs = [asyncio.create_task(thread.run(gate.wait, stage="score", stopwatch=stopwatch)) for _ in range(3)]
    await asyncio.sleep(0)
    assert thread.waiting == 3
    gate.set()
    await asyncio.gather(*jobs)
    assert thread.waiting == 0
    assert [record.stage for record in records if isinstance(record, JobRecord)] == ["score"] * 3
    assert {timing.stage for timing in stopwatch.timings()} == {"score", "engine_wait"}
    await thread.close()


async def test_closing_joins_the_thread_drops_what_waits_and_refuses_what_comes():
    thread, begun, gate = EngineThread(name="closing"), threading.Event(), threading.Event()
    running = asyncio.create_task(thread.run(lambda: begun.set() or gate.wait()))
    waiting = asyncio.create_task(thread.run(lambda: None))
    await asyncio.to_thread(begun.wait)
    closing = asyncio.create_task(thread.close())
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert await running
    assert not [alive for alive in threading.enumerate() if alive.name.startswith("closing")]
    for refused in (waiting, thread.run(lambda: None)):
        with pytest.raises(UnavailableError) as caught:
            await refused
        assert caught.value.reason == "WORKER_UNAVAILABLE"
