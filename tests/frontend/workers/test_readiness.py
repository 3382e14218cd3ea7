"""When the front end says that it is ready, and how it stops."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from whence.errors import UnavailableError
from whence.v1 import attribution_service_pb2


def request(query):
    return attribution_service_pb2.AttributeRequest(query=query)


def not_serving(front):
    async def ask():
        return not await front.is_serving()

    return ask


def refuses(front):
    async def ask():
        try:
            await front.stub.ListModels(attribution_service_pb2.ListModelsRequest())
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
        return False

    return ask


async def test_a_front_end_is_ready_while_every_shard_of_some_model_is_reachable(start_worker, start_front, eventually):
    whole, part = await start_worker(["a", "b"]), await start_worker(["c"])
    front = await start_front(whole, part)
    assert await front.health() == "SERVING"
    await part.stop()
    await eventually(not_serving(front))
    await start_worker(["c"], address=part.address)
    await eventually(front.is_serving)


async def test_a_worker_that_is_down_at_the_start_is_used_once_it_is_up(
    start_worker, start_front, ask, tmp_path, eventually
):
    address = f"unix:{tmp_path}/worker.sock"
    front = await start_front(address)
    assert await front.health() == "NOT_SERVING"
    assert await front.health("liveness") == "SERVING"
    await start_worker(address=address)
    await eventually(front.is_serving)
    assert (await front.stub.Attribute(request(ask()))).attribution.positive


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_a_worker_is_reached_whatever_proxy_the_environment_names(
    start_worker, start_front, monkeypatch, variable
):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    worker = await start_worker()
    front = await start_front(worker.address.replace("127.0.0.1", "localhost"))
    assert front.front.pool.placement.served


async def test_a_worker_that_drains_gets_no_new_calls(start_worker, start_front, ask):
    draining, other = await start_worker(), await start_worker()
    front = await start_front(draining, other)
    draining.host.set_serving("whence.worker.v1.WorkerService", False)
    await front.front.pool.refresh()
    for completion in ("a", "b", "c", "d"):
        await front.stub.Attribute(request(ask(completion)))
    assert not draining.stub.prepared
    assert not draining.stub.scanned


async def test_a_model_without_a_worker_for_some_shard_is_counted(start_worker, start_front):
    front = await start_front(await start_worker(["a", "b"]))
    count = front.front._registry.get_sample_value
    assert (count("whence_models_served"), count("whence_models_incomplete")) == (0, 1)


async def test_a_drain_says_when_it_cuts_calls_off(start_front, worker):
    front = await start_front(worker, grace_s=40.0)
    value = front.front._registry.get_sample_value
    assert value("whence_drain_end_timestamp_seconds") == 0
    before = time.time()
    await front.front.host.drain()
    assert before + 40 <= value("whence_drain_end_timestamp_seconds") <= time.time() + 40


async def test_a_worker_is_found_under_a_name_that_resolves_to_it(start_worker, start_front, ask):
    worker = await start_worker()
    port = worker.address.rpartition(":")[2]
    front = await start_front(f"dns:///localhost:{port}")
    assert (await front.stub.Attribute(request(ask()))).attribution.positive


async def test_a_name_that_does_not_resolve_leaves_the_other_workers(start_worker, start_front, ask):
    front = await start_front(await start_worker(), "dns:///no-such-host.invalid:1")
    assert (await front.stub.Attribute(request(ask()))).attribution.positive


async def test_draining_says_not_serving_then_finishes_what_it_began_and_refuses_the_rest(
    start_front, worker, ask, eventually
):
    front = await start_front(worker, drain_s=0.3, grace_s=10.0)
    worker.stub.may_finish.clear()
    began = asyncio.ensure_future(front.stub.Attribute(request(ask())))
    await asyncio.wait_for(worker.stub.scanning.wait(), 10)
    drained = asyncio.create_task(front.front.host.drain())
    await eventually(not_serving(front))
    assert await front.health("liveness") == "SERVING"
    await eventually(refuses(front))  # for drain_s it still answers
    worker.stub.may_finish.set()
    assert (await began).attribution.positive
    await drained


async def test_a_placement_that_comes_while_draining_does_not_make_it_ready_again(front, logs):
    front.front.host.health.drain()
    logs.clear()
    await front.front.pool.refresh()
    assert await front.health() == "NOT_SERVING"
    assert "serving" not in [line["event"] for line in logs]


async def test_someone_who_watches_health_does_not_hold_up_the_stop(start_front, worker):
    front = await start_front(worker, grace_s=60.0)
    watch = health_pb2_grpc.HealthStub(front.channel).Watch(
        health_pb2.HealthCheckRequest(service="whence.v1.AttributionService")
    )
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    async with asyncio.timeout(10):
        await front.front.host.drain()
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await watch.read() is grpc.aio.EOF


async def test_an_address_that_is_taken_is_an_error_and_not_a_second_server(start_front, worker, front):
    with pytest.raises(UnavailableError, match=front.address):
        await start_front(worker, address=front.address)
