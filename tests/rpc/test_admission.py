"""Who may work now."""

from __future__ import annotations

import asyncio

import pytest

from whence.errors import DeadlineError, OverloadedError
from whence_service.rpc.admission import Admission
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.records import QueueRecord, RejectionRecord, WaitRecord


async def settle():
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def hold():
    """Start a task that holds a slot until it is told to go: ``hold(admission, name) -> (task, go)``."""
    entered = []

    def start(admission, name="x", deadline=None):
        go = asyncio.Event()

        async def work():
            async with admission.slot(deadline):
                entered.append(name)
                await go.wait()

        return asyncio.create_task(work()), go

    start.entered = entered
    return start


async def test_waiters_run_in_the_order_in_which_they_came(hold):
    admission = Admission(1, 5)
    held = [hold(admission, name) for name in "abc"]
    for task, go in held:
        await settle()
        go.set()
        await task
    assert hold.entered == ["a", "b", "c"]


async def test_a_newcomer_does_not_overtake_a_waiter_whose_turn_it_is(hold):
    admission = Admission(1, 5)
    first, second = hold(admission, "first"), hold(admission, "second")
    await settle()
    first[1].set()
    await first[0]
    third = hold(admission, "third")
    await settle()
    assert hold.entered == ["first", "second"]
    for task, go in (second, third):
        go.set()
        await task


async def test_a_full_queue_refuses_at_once(hold):
    admission = Admission(1, 1)
    held = [hold(admission), hold(admission)]
    await settle()
    with pytest.raises(OverloadedError) as caught:
        async with admission.slot():
            pass
    assert caught.value.reason == "QUEUE_FULL"
    assert repr(admission) == "<Admission running=1/1 waiting=1/1>"
    for task, go in held:
        go.set()
        await task
    assert repr(admission) == "<Admission running=0/1 waiting=0/1>"


async def test_a_cancelled_waiter_leaves_the_queue(hold):
    admission = Admission(1, 1)
    (first, go), (waiter, _) = hold(admission), hold(admission)
    await settle()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert repr(admission) == "<Admission running=1/1 waiting=0/1>"
    go.set()
    await first


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_it_on(hold):
    admission = Admission(1, 2)
    (first, go), (cancelled, _), (last, last_go) = (hold(admission, name) for name in "abc")
    await settle()
    go.set()
    await asyncio.sleep(0)  # the first leaves; the second owns the slot now, but has not woken
    cancelled.cancel()
    await settle()
    assert hold.entered == ["a", "c"]
    last_go.set()
    await asyncio.gather(first, last, cancelled, return_exceptions=True)
    assert repr(admission) == "<Admission running=0/1 waiting=0/2>"


async def test_a_waiter_whose_deadline_passes_leaves_the_queue(hold):
    admission = Admission(1, 1)
    first, go = hold(admission)
    await settle()
    with pytest.raises(DeadlineError):
        async with admission.slot(Deadline.after(0.01)):
            pass
    assert repr(admission) == "<Admission running=1/1 waiting=0/1>"
    go.set()
    await first


async def test_a_deadline_that_has_passed_is_refused_even_if_there_is_room():
    with pytest.raises(DeadlineError):
        async with Admission(1, 1).slot(Deadline.after(-1)):
            pass


async def test_a_failure_inside_gives_the_slot_back():
    admission = Admission(1, 0)
    with pytest.raises(ZeroDivisionError):
        async with admission.slot():
            raise ZeroDivisionError
    async with admission.slot():
        assert repr(admission) == "<Admission running=1/1 waiting=0/0>"


async def test_the_delay_to_retry_after_grows_with_the_queue(hold):
    admission = Admission(2, 10)
    empty = admission.retry_after_s()
    held = [hold(admission) for _ in range(6)]
    await settle()
    assert admission.retry_after_s() == pytest.approx(5 * empty)
    for _, go in held:
        go.set()
    await asyncio.gather(*(task for task, _ in held))
    assert admission.retry_after_s() < empty  # it has learned how short these calls were


async def test_depth_waits_and_rejections_are_told(hold):
    records = []
    admission = Admission(1, 0, records.append)
    first, go = hold(admission)
    await settle()
    with pytest.raises(OverloadedError):
        async with admission.slot():
            pass
    go.set()
    await first
    assert records == [
        WaitRecord(wait_s=0.0),
        QueueRecord(running=1, waiting=0),
        RejectionRecord(reason="QUEUE_FULL"),
        QueueRecord(running=0, waiting=0),
    ]


@pytest.mark.parametrize(("max_running", "max_waiting"), [(0, 1), (1, -1)])
def test_limits_that_admit_nobody_are_refused(max_running, max_waiting):
    with pytest.raises(ValueError, match="max_running"):
        Admission(max_running, max_waiting)
