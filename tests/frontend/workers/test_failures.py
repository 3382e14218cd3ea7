"""When a part fails, the whole answer fails, says which part it was, and stops the rest."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import grpc
import pytest

from frontend import stub_worker
from whence.errors import (
    DeadlineError,
    InternalError,
    InvalidRequestError,
    MismatchError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
)
from whence.v1 import attribution_pb2, attribution_service_pb2


def request(query, **more):
    return attribution_service_pb2.AttributeRequest(query=query, **more)


@pytest.fixture
async def mortal():
    """A worker in a process of its own, with shard b; its scans begin and never end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(stub_worker.__file__)),
        "b",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    address = json.loads(await process.stdout.readline())["address"]
    yield process, address
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_a_worker_that_is_killed_in_the_middle_fails_the_call_and_stops_the_others(
    start_worker, start_front, mortal, ask, failure_of
):
    process, address = mortal
    other = await start_worker(["a", "c"])
    other.stub.may_finish.clear()
    front = await start_front(other, address)
    call = front.stub.StreamAttribute(attribution_service_pb2.StreamAttributeRequest(query=ask()))
    await call.read()
    await asyncio.wait_for(other.stub.scanning.wait(), 10)
    process.kill()

    async def rest():
        while await call.read() is not grpc.aio.EOF:
            pass

    error = await failure_of(rest())
    assert isinstance(error, UnavailableError)
    assert error.reason == "WORKER_UNAVAILABLE"
    assert error.details == {"worker": address, "shards": "b"}
    await asyncio.wait_for(other.stub.cancelled.wait(), 10)


async def test_once_a_worker_is_gone_its_shards_are_refused_by_name(
    start_worker, start_front, mortal, ask, failure_of, eventually
):
    process, address = mortal
    front = await start_front(await start_worker(["a", "c"]), address)
    process.kill()
    await eventually(lambda: front.front.pool.placement.silent == (address,))
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert isinstance(error, UnavailableError)
    assert error.reason == "SHARD_UNAVAILABLE"
    assert error.details["shards"] == "b"


async def test_a_worker_that_answers_unavailable_fails_the_call_naming_worker_and_shards(
    start_worker, start_front, ask, failure_of
):
    broken, other = await start_worker(["a"]), await start_worker(["b", "c"])
    broken.stub.failure = UnavailableError("stopping", reason="DRAINING")
    other.stub.may_finish.clear()
    front = await start_front(broken, other)
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert (error.reason, error.details["shards"]) == ("WORKER_UNAVAILABLE", "a")
    await asyncio.wait_for(other.stub.cancelled.wait(), 10)


@pytest.mark.parametrize(
    "failure",
    [
        InvalidRequestError("too long", reason="TOO_LONG_QUERY", field="query.text"),
        OverloadedError("busy", reason="QUEUE_FULL", retry_after_s=7.0),
        MismatchError("no index", reason="MISSING_INDEX", have="f2"),
    ],
)
async def test_errors_of_workers_reach_the_client_as_they_are(front, worker, ask, failure_of, failure):
    worker.stub.failure = failure
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert type(error) is type(failure)
    assert (error.message, error.reason, error.details) == (failure.message, failure.reason, failure.details)
    assert getattr(error, "retry_after_s", None) == getattr(failure, "retry_after_s", None)
    assert getattr(error, "field", None) == getattr(failure, "field", None)


async def test_an_uncaught_exception_of_a_worker_does_not_leak_its_text(front, worker, ask, failure_of):
    worker.stub.failure = ValueError("the secret path")
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert isinstance(error, InternalError)
    assert "secret" not in error.message


async def test_an_uncaught_exception_of_ours_does_not_leak_its_text(front, ask, failure_of, monkeypatch, logs):
    def fail(*_):
        raise ValueError("the secret path")

    monkeypatch.setattr("whence_service.frontend.request.turn.plan_route", fail)
    error = await failure_of(front.stub.Attribute(request(ask(), request_id="r1")))
    assert (error.reason, error.details) == ("INTERNAL", {"request_id": "r1"})
    assert "secret" not in error.message
    assert any(line.get("exc_info") and line["request_id"] == "r1" for line in logs)


async def test_a_scan_that_ends_too_early_is_no_answer(front, worker, ask, failure_of):
    worker.stub.incomplete = True
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert (type(error), error.reason) == (InternalError, "SCAN_INCOMPLETE")


async def test_an_influence_that_is_not_a_number_is_no_answer(front, ask, failure_of, monkeypatch):
    monkeypatch.setattr(stub_worker, "influence", lambda *_: float("nan"))
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert (type(error), error.reason) == (InternalError, "NON_FINITE_INFLUENCE")


async def test_a_call_that_the_client_cancels_is_cancelled_at_the_worker(front, worker, ask, eventually):
    worker.stub.may_finish.clear()
    call = front.stub.Attribute(request(ask()))
    await asyncio.wait_for(worker.stub.scanning.wait(), 10)
    call.cancel()
    await asyncio.wait_for(worker.stub.cancelled.wait(), 10)
    await eventually(lambda: "running=0/" in repr(front.front.admission))


async def test_a_stream_that_the_client_leaves_is_cancelled_at_the_worker(front, worker, ask, eventually):
    worker.stub.may_finish.clear()
    call = front.stub.StreamAttribute(attribution_service_pb2.StreamAttributeRequest(query=ask()))
    await call.read()
    call.cancel()
    await asyncio.wait_for(worker.stub.cancelled.wait(), 10)
    await eventually(lambda: "running=0/" in repr(front.front.admission))


async def test_a_deadline_that_passes_ends_the_call_and_the_workers_part_of_it(front, worker, ask, failure_of):
    worker.stub.may_finish.clear()
    error = await failure_of(front.stub.Attribute(request(ask()), timeout=0.3))
    assert isinstance(error, DeadlineError)
    await asyncio.wait_for(worker.stub.cancelled.wait(), 10)


async def test_workers_get_the_callers_remaining_time(front, worker, ask):
    await front.stub.Attribute(request(ask()), timeout=30)
    assert 20 < worker.stub.remaining_s[0] < 31  # gRPC rounds it up on the wire


async def test_a_call_without_a_deadline_gets_the_servers(start_front, worker, ask, failure_of):
    front = await start_front(worker, default_deadline_s=0.3)
    worker.stub.may_finish.clear()
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert (type(error), error.reason) == (DeadlineError, "DEADLINE_EXCEEDED")


async def test_a_request_over_grpcs_limit_is_refused_unread_and_counted_and_the_server_goes_on(
    start_front, worker, ask, failure_of, logs, eventually
):
    front = await start_front(worker, max_request_bytes=10_000)
    error = await failure_of(front.stub.Attribute(request(ask("x" * 20_000))))
    assert (type(error), error.reason) == (OverloadedError, "GRPC_RESOURCE_EXHAUSTED")
    assert "larger than max (20" in error.message
    await eventually(lambda: any(line.get("reason") == "MISSING_MESSAGE" for line in logs))
    assert not [line for line in logs if line.get("exc_info")]
    assert (await front.stub.Attribute(request(ask()))).attribution.positive


async def test_an_answer_of_a_worker_over_the_message_limit_asks_for_less(
    start_front, worker, ask, failure_of, monkeypatch
):
    front = await start_front(worker, max_message_bytes=10_000)
    monkeypatch.setattr(stub_worker, "sequence", lambda *_, **__: attribution_pb2.TrainingSequence(text="x" * 20_000))
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert (type(error), error.reason) == (InvalidRequestError, "TOO_LARGE_MESSAGE")


async def test_a_model_that_is_not_served_is_named_with_those_that_are(front, ask, failure_of):
    error = await failure_of(front.stub.Attribute(request(ask(), model="huge")))
    assert (type(error), error.reason) == (NotFoundError, "MODEL_NOT_FOUND")
    assert error.details == {"model": "huge", "models": "tiny"}


async def test_without_any_worker_the_error_says_so(start_front, ask, failure_of):
    front = await start_front("127.0.0.1:1")
    error = await failure_of(front.stub.Attribute(request(ask())))
    assert (type(error), error.reason) == (UnavailableError, "WORKERS_UNAVAILABLE")
    assert error.details == {"workers": "127.0.0.1:1"}
