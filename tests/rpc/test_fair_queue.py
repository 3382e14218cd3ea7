"""Whose turn it is."""

from __future__ import annotations

import pytest

from whence_service.rpc.fair_queue import FairQueue


def filled(**items: int) -> FairQueue[str]:
    """Return a queue in which the items of one tenant came before those of the next, and are numbered."""
    queue: FairQueue[str] = FairQueue()
    for tenant, count in items.items():
        for number in range(count):
            queue.push(tenant, f"{tenant}{number}")
    return queue


def serve(queue: FairQueue[str], turns: int, **costs: float) -> list[str]:
    """Take turns, each of which costs what ``costs`` says of its tenant, or 1."""
    served = []
    for _ in range(turns):
        tenant, item = queue.pop() or ("", "")
        queue.begin(tenant)
        queue.charge(tenant, costs.get(tenant, 1.0))
        served.append(item)
    return served


def test_one_tenant_is_served_in_order_of_arrival():
    assert serve(filled(a=4), 4) == ["a0", "a1", "a2", "a3"]


def test_tenants_take_turns_however_many_items_each_has():
    assert serve(filled(a=9, b=2, c=1), 6) == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_turns_go_by_cost_and_not_by_number():
    served = serve(filled(dear=9, cheap=9), 8, dear=3.0)
    assert [item[:-1] for item in served].count("cheap") == 6


def test_nobody_owes_for_times_when_nobody_else_was_there():
    queue = filled(a=100)
    serve(queue, 90)
    queue.push("b", "b0")
    queue.push("b", "b1")
    assert serve(queue, 4) == ["b0", "a90", "b1", "a91"]


def test_nobody_saves_up_while_away():
    queue = filled(b=1)
    serve(queue, 1)
    for number in range(60):
        queue.push("a", f"a{number}")
    serve(queue, 50)
    for number in range(9):
        queue.push("b", f"b{number}")
    assert sorted(item[0] for item in serve(queue, 8)) == ["a"] * 4 + ["b"] * 4


def test_a_tenant_that_may_not_have_a_turn_is_passed_over():
    queue = filled(a=1, b=1)
    assert queue.pop(lambda tenant: tenant != "a") == ("b", "b0")
    assert queue.pop(lambda tenant: tenant != "a") is None
    assert len(queue) == 1


def test_the_longest_queue_gives_up_its_last_item_to_one_that_is_shorter_by_two():
    queue = filled(a=3, b=1)
    assert queue.displace("a") is None
    assert queue.displace("b") == "a2"
    assert queue.displace("b") is None  # a has 2, and b would have as many
    assert queue.displace("c") == "a1"
    assert list(queue) == ["a0", "b0"]


def test_a_removed_item_has_no_turn():
    queue = filled(a=2)
    assert queue.remove("a", next(iter(queue)))
    assert not queue.remove("a", "a0")
    assert not queue.remove("b", "b0")
    assert serve(queue, 1) == ["a1"]
    assert repr(queue) == "<FairQueue {}>"


@pytest.mark.parametrize(("newcomer", "ahead"), [("a", 4), ("b", 3), ("c", 2)])
def test_it_knows_how_many_go_before_a_newcomer(newcomer, ahead):
    assert filled(a=3, b=1).ahead_of(newcomer) == ahead


def test_of_very_many_tenants_those_that_had_least_are_forgotten():
    queue: FairQueue[str] = FairQueue()
    for number in range(5000):
        queue.push(f"tenant {number}", "item")
        serve(queue, 1)
    assert len(queue._used) <= 1000
