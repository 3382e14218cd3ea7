"""Who may work now."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from whence.errors import DeadlineError, OverloadedError
from whence_service.rpc.admission import Admission
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.identity import ANYONE, enter
from whence_service.rpc.records import QueueRecord, RejectionRecord, WaitRecord


async def settle():
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def hold():
    """Start a task that holds a slot until it is told to go: ``hold(admission, name) -> (task, go)``."""
    entered = []

    def start(admission, name="x", deadline=None, tenant=""):
        go = asyncio.Event()

        async def work():
            enter(replace(ANYONE, tenant=tenant))
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


async def end(*held):
    """Let everyone go who holds or waits for a slot."""
    for _, go in held:
        go.set()
    return await asyncio.gather(*(task for task, _ in held), return_exceptions=True)


async def test_the_next_slot_is_the_tenants_that_had_less(hold):
    now_s = 0.0
    admission = Admission(1, 9, clock=lambda: now_s)
    held = [hold(admission, name, tenant=name[0]) for name in ("a1", "a2", "a3", "a4", "b1", "b2")]
    await settle()
    for turn in (0, 4, 1, 5, 2, 3):
        now_s += 1.0
        held[turn][1].set()
        await settle()
    await end(*held)
    assert hold.entered == ["a1", "b1", "a2", "b2", "a3", "a4"]


@pytest.mark.parametrize(("slots", "most"), [(16, 12), (4, 3), (3, 2), (2, 1), (1, 1)])
async def test_a_tenant_leaves_slots_to_others(hold, slots, most):
    admission = Admission(slots, 99)
    held = [hold(admission, "a", tenant="a") for _ in range(slots + 5)]
    await settle()
    assert len(hold.entered) == most
    held.append(hold(admission, "b", tenant="b"))
    await settle()
    assert hold.entered[most:] == ["b"] * (slots > 1)
    await end(*held)
    assert repr(admission).startswith("<Admission running=0/")


async def test_callers_without_a_tenant_may_hold_every_slot(hold):
    admission = Admission(16, 99)
    held = [hold(admission) for _ in range(20)]
    await settle()
    assert repr(admission) == "<Admission running=16/16 waiting=4/99>"
    await end(*held)


async def test_a_full_queue_makes_room_at_the_cost_of_the_tenant_with_the_most_in_it(hold):
    admission = Admission(1, 4)
    held = [hold(admission, name, tenant=name[0]) for name in ("a0", "a1", "a2", "a3", "a4", "b1", "b2", "b3")]
    await settle()
    refused = [number for number, (task, _) in enumerate(held) if task.done()]
    assert refused == [3, 4, 7]  # the last of a's calls, and the call of b that would have made it the one with most
    outcomes = await end(*held)
    assert {outcomes[number].reason for number in refused} == {"QUEUE_FULL"}
    assert "made room for one of a tenant with fewer" in outcomes[3].message
    assert sorted(hold.entered) == ["a0", "a1", "a2", "b1", "b2"]


async def test_a_call_that_would_wait_too_long_is_refused_at_once(hold):
    admission = Admission(1, 99, max_wait_s=2.5)  # a call is thought to take 1 s while nothing is known
    held = [hold(admission) for _ in range(4)]
    await settle()
    assert [task.done() for task, _ in held] == [False, False, False, True]
    *admitted, refused = await end(*held)
    assert admitted == [None] * 3
    assert (refused.reason, "none wait for longer than 2.5 s" in refused.message) == ("QUEUE_FULL", True)


async def test_a_call_that_has_waited_too_long_is_refused(hold):
    admission = Admission(1, 99, max_wait_s=0.05)
    first = hold(admission)
    await settle()
    admission._learn(-1000.0)  # calls seem to take no time
    with pytest.raises(OverloadedError) as caught:
        async with admission.slot(Deadline.after(10)):
            pass
    assert caught.value.reason == "QUEUE_FULL"
    await end(first)


@pytest.mark.parametrize(("max_running", "max_waiting"), [(0, 1), (1, -1)])
def test_limits_that_admit_nobody_are_refused(max_running, max_waiting):
    with pytest.raises(ValueError, match="max_running"):
        Admission(max_running, max_waiting)
