"""The asyncio client, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import inspect

import pytest

import whence
from whence.errors import ERRORS

QUESTION = {"prompt": "The capital of Durrow is", "completion": " Brelary"}
QUICK = whence.RetryPolicy(max_attempts=4, initial_backoff_s=0.01, max_backoff_s=0.02)


@pytest.fixture
async def client(target):
    async with whence.AsyncClient(target, timeout_s=20, retry=QUICK) as client:
        yield client


def public_methods(kind: type) -> dict[str, list[str]]:
    functions = inspect.getmembers(kind, inspect.isfunction)
    return {name: list(inspect.signature(f).parameters) for name, f in functions if not name.startswith("_")}


def test_both_clients_have_the_same_methods_and_arguments():
    assert public_methods(whence.AsyncClient) == public_methods(whence.Client)
    assert inspect.signature(whence.AsyncClient) == inspect.signature(whence.Client)


async def test_both_clients_give_the_same_answers(client, target):
    asked = {"query": whence.Query.text("a", "b"), "request_id": "mine"}
    with whence.Client(target) as sync:
        options = {"direction": "both", "include_layers": True, "include_tokens": True}
        assert await client.attribute(**asked, **options) == sync.attribute(**asked, **options)
        assert [e async for e in client.attribute_stream(**asked)] == list(sync.attribute_stream(**asked))
        pair = {"queries": [asked["query"]] * 2, "request_id": "mine"}
        assert await client.attribute_batch(**pair) == sync.attribute_batch(**pair)
        scored = {**QUESTION, "texts": ["to Brelary"], "request_id": "mine"}
        assert await client.score(**scored) == sync.score(**scored)
        explained = {**QUESTION, "text": "to Brelary", "request_id": "mine"}
        assert await client.explain(**explained) == sync.explain(**explained)
        assert [model async for model in client.models()] == list(sync.models())
        assert await client.models() == list(sync.models())
        assert await client.model() == sync.model()


async def test_models_come_page_by_page_iterated_or_awaited(client, service):
    service.serve("one", "two", "three")
    assert [model.name for model in await client.models(page_size=2)] == ["one", "two", "three"]
    assert service.calls == ["ListModels"] * 2
    found = client.models(page_size=1)
    assert (await anext(found)).name == "one"
    await found.aclose()
    assert [model async for model in found] == []


@pytest.mark.parametrize("kind", ERRORS)
async def test_each_error_is_raised_as_itself(target, service, kind):
    service.failures = [kind("what", reason="SOME_REASON")]
    async with whence.AsyncClient(target, retry=None, retry_overload=False) as client:
        with pytest.raises(kind, match="what") as caught:
            await client.attribute(**QUESTION, request_id="mine")
    assert (caught.value.reason, caught.value.details) == ("SOME_REASON", {"request_id": "mine"})


async def test_an_unavailable_server_is_asked_again(client, service):
    service.failures = [whence.UnavailableError("restarting", reason="DRAINING")] * 2
    assert (await client.attribute(**QUESTION)).positive
    assert service.calls == ["Attribute"] * 3


async def test_a_bad_request_is_not_asked_again(client, service):
    service.failures = [whence.InvalidRequestError("bad", reason="BAD", field="query")]
    with pytest.raises(whence.InvalidRequestError) as caught:
        await client.attribute(**QUESTION)
    assert caught.value.field == "query"
    assert service.calls == ["Attribute"]


async def test_refusals_for_load_are_asked_again(client, service):
    service.failures = [whence.OverloadedError("full", reason="QUEUE_FULL", retry_after_s=0.01)] * 2
    assert (await client.attribute(**QUESTION)).positive
    service.failures = [whence.OverloadedError("full", reason="QUEUE_FULL", retry_after_s=0.01)]
    assert [event async for event in client.attribute_stream(**QUESTION)]
    assert service.calls == ["Attribute"] * 3 + ["StreamAttribute"] * 2


async def test_a_slow_answer_is_a_deadline_error(client, service):
    service.hold = True
    with pytest.raises(whence.DeadlineError):
        await client.attribute(**QUESTION, timeout_s=0.2)


async def ended(service) -> bool:
    return await asyncio.to_thread(service.over.wait, 10)


async def test_cancelling_the_task_cancels_the_call(client, service):
    service.hold = True
    task = asyncio.create_task(client.attribute(**QUESTION))
    await asyncio.to_thread(service.called.wait, 10)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await ended(service)
    assert task.cancelled()


async def test_closing_a_stream_early_cancels_the_call(client, service):
    service.hold = True
    events = client.attribute_stream(**QUESTION)
    assert isinstance(await anext(events), whence.Progress)
    await events.aclose()
    assert await ended(service)


async def test_abandoning_a_stream_cancels_the_call(client, service):
    service.hold = True
    async for _ in client.attribute_stream(**QUESTION):
        break
    assert await ended(service)


async def test_stopping_at_the_answer_does_not_cancel_the_call(client, service):
    service.linger = True
    async for event in client.attribute_stream(**QUESTION):
        if isinstance(event, whence.Attribution):
            break
    await client.close()
    assert service.ends == ["ok"]


def test_a_client_may_be_made_before_its_event_loop(target):
    client = whence.AsyncClient(target)

    async def ask():
        async with client:
            return await client.model()

    assert asyncio.run(ask()).name == "toy"
