"""What is served, and what calls are called."""

from __future__ import annotations

import uuid

import pytest

from whence.v1 import attribution_service_pb2 as messages


async def names_by_page(front, page_size):
    token, pages = "", []
    while True:
        answer = await front.stub.ListModels(messages.ListModelsRequest(page_size=page_size, page_token=token))
        pages.append([model.name for model in answer.models])
        token = answer.next_page_token
        if not token:
            return pages


@pytest.mark.parametrize(
    ("page_size", "pages"),
    [
        (2, [["m0", "m1"], ["m2", "m3"], ["m4"]]),
        (5, [["m0", "m1", "m2", "m3", "m4"]]),
        (1000000, None),
        (0, None),
        (-3, None),
    ],
)
async def test_models_are_listed_by_name_page_by_page(start_worker, start_front, page_size, pages):
    front = await start_front(*[await start_worker(model=f"m{n}") for n in (3, 1, 4, 0, 2)])
    assert await names_by_page(front, page_size) == (pages or [["m0", "m1", "m2", "m3", "m4"]])


async def test_a_model_is_listed_with_its_limits_and_replicas(start_worker, start_front):
    front = await start_front(await start_worker(), await start_worker(["b"]), max_top_k=77)
    model = (await front.stub.GetModel(messages.GetModelRequest())).model
    assert {shard.shard: shard.replicas for shard in model.shards} == {"a": 1, "b": 2, "c": 1}
    assert (model.limits.max_top_k, model.limits.max_query_tokens) == (77, 8)
    assert (model.name, model.default_damping_factor, model.engine) == ("tiny", 0.1, "stub/float64")


async def test_a_model_that_lost_a_shard_is_still_shown_with_no_replica_of_it(start_worker, start_front):
    front = await start_front(await start_worker(["a", "b"]))
    model = (await front.stub.GetModel(messages.GetModelRequest(name="tiny"))).model
    assert {shard.shard: shard.replicas for shard in model.shards} == {"a": 1, "b": 1, "c": 0}


async def test_a_request_id_comes_back_and_goes_to_the_workers(front, worker, ask):
    call = front.stub.Attribute(messages.AttributeRequest(query=ask(), request_id="mine-1"))
    assert (await call).metadata.request_id == "mine-1"
    assert dict(await call.trailing_metadata())["x-request-id"] == "mine-1"
    assert worker.stub.request_ids == ["mine-1"]


async def test_a_request_without_an_id_gets_a_uuid(front, worker, ask):
    call = front.stub.Attribute(messages.AttributeRequest(query=ask()))
    request_id = (await call).metadata.request_id
    assert str(uuid.UUID(request_id)) == request_id
    assert dict(await call.trailing_metadata())["x-request-id"] == request_id


async def test_an_error_carries_the_request_id_too(front):
    call = front.stub.Attribute(messages.AttributeRequest(request_id="mine-2"))
    assert dict(await call.trailing_metadata())["x-request-id"] == "mine-2"
