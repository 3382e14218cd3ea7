"""More requests than the front end takes: refused at once, while health still answers."""

from __future__ import annotations

import asyncio

import pytest

from whence.errors import DeadlineError, OverloadedError
from whence.v1 import attribution_service_pb2


def request(query):
    return attribution_service_pb2.AttributeRequest(query=query)


@pytest.fixture
async def busy(start_front, worker, ask, eventually):
    """A front end that runs one request, which does not end, with one more waiting."""
    worker.stub.may_finish.clear()
    front = await start_front(worker, max_running=1, max_waiting=1)
    calls = [asyncio.ensure_future(front.stub.Attribute(request(ask()))) for _ in range(2)]
    await eventually(lambda: repr(front.front.admission) == "<Admission running=1/1 waiting=1/1>")
    yield front
    worker.stub.may_finish.set()
    for answer in await asyncio.gather(*calls):
        assert answer.attribution.positive


async def test_a_full_queue_refuses_with_a_delay_to_retry_after(busy, ask, failure_of):
    error = await failure_of(busy.stub.Attribute(request(ask())))
    assert (type(error), error.reason) == (OverloadedError, "QUEUE_FULL")
    assert error.retry_after_s > 0
    assert error.details == {"running": "1", "waiting": "1"}


async def test_a_full_queue_does_not_refuse_health_checks_and_listings(busy):
    assert await busy.health() == "SERVING"
    assert (await busy.stub.ListModels(attribution_service_pb2.ListModelsRequest())).models


async def test_a_full_queue_refuses_streams_as_well(busy, ask, failure_of):
    call = busy.stub.StreamAttribute(attribution_service_pb2.StreamAttributeRequest(query=ask()))
    assert (await failure_of(call.read())).reason == "QUEUE_FULL"


async def test_a_deadline_that_passes_in_the_queue_costs_the_worker_nothing(start_front, worker, ask, failure_of):
    worker.stub.may_finish.clear()
    front = await start_front(worker, max_running=1)
    first = asyncio.ensure_future(front.stub.Attribute(request(ask())))
    await asyncio.wait_for(worker.stub.scanning.wait(), 10)
    error = await failure_of(front.stub.Attribute(request(ask("late")), timeout=0.2))
    assert isinstance(error, DeadlineError)
    worker.stub.may_finish.set()
    await first
    assert [list(call.queries) for call in worker.stub.prepared] == [[ask()]]
    assert repr(front.front.admission).startswith("<Admission running=0/1 waiting=0/")
