"""Messages that nobody would write, to every method: each is answered, or refused with a typed error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.conftest import Target, assert_typed
from fuzz.messages import messages, mutated
from whence.v1 import attribution_service_pb2
from whence.worker.v1 import worker_service_pb2

METHODS = [
    pytest.param(side, method, id=f"{side}-{method.name}")
    for side, service in (
        ("front", attribution_service_pb2.DESCRIPTOR.services_by_name["AttributionService"]),
        ("worker", worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"]),
    )
    for method in service.methods
]
EXHAUSTIVE = [pytest.mark.exhaustive, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("examples", [20, pytest.param(500, marks=EXHAUSTIVE)])
@pytest.mark.parametrize(("side", "method"), METHODS)
def test_any_message_is_answered_or_refused(targets: dict[str, Target], side, method, examples):
    target, answered = targets[side], 0

    @settings(max_examples=examples, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def send(data):
        nonlocal answered
        request = data.draw(messages(method.input_type, target.known))
        try:
            list(call(channel, method, request.SerializeToString()))
            answered += 1
        except grpc.RpcError as failure:
            assert_typed(failure, request)

    with grpc.insecure_channel(target.address) as channel, target.watched():
        send()
    assert answered, "nothing went past the checks"


def call(channel: grpc.Channel, method, data: bytes) -> Iterator[bytes]:
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.server_streaming:
        yield from channel.unary_stream(path)(data, timeout=20)
    else:
        yield channel.unary_unary(path)(data, timeout=20)


@pytest.mark.parametrize("count", [2_000, pytest.param(450_000, marks=EXHAUSTIVE)])
async def test_bytes_that_are_nearly_a_message_are_answered_or_refused(target: Target, count):
    chance, seeds = random.Random(count), [seed(method, target) for method in target.service.methods]
    await bombard(target, seeds, count // 10, chance)  # what is allocated once
    with target.watched():
        assert await bombard(target, seeds, count, chance) == count


def seed(method, target: Target):
    """A method, and a message that is an example of what it takes."""
    examples = messages(method.input_type, target.known)
    drawn = []

    @settings(max_examples=10, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(examples)
    def draw(message):
        drawn.append(message.SerializeToString())

    draw()
    return method, max(drawn, key=len)


async def bombard(target: Target, seeds, count: int, chance: random.Random, concurrency: int = 16) -> int:
    """Send so many messages, some of them at a time; return how many were answered or refused."""
    left, settled = iter(range(count)), 0

    async def one_after_the_other(channel: grpc.aio.Channel) -> None:
        nonlocal settled
        for _ in left:
            method, whole = chance.choice(seeds)
            data = mutated(whole, chance)
            try:
                await first_answer(channel, method, data)
            except grpc.aio.AioRpcError as failure:
                assert_typed(failure, (method.name, data))
            settled += 1

    async with grpc.aio.insecure_channel(target.address) as channel:
        await asyncio.gather(*(one_after_the_other(channel) for _ in range(concurrency)))
    return settled


async def first_answer(channel: grpc.aio.Channel, method, data: bytes) -> None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.server_streaming:
        async for _ in channel.unary_stream(path)(data, timeout=20):
            pass
    else:
        await channel.unary_unary(path)(data, timeout=20)


async def test_large_messages_that_are_refused_leave_no_memory_behind(target: Target):
    method = target.service.methods_by_name["Attribute" if "Attribution" in target.service.name else "Scan"]
    await refuse(target, method, 50)  # what is allocated once
    with target.watched():
        await refuse(target, method, 500)


async def refuse(target: Target, method, count: int) -> None:
    """Have so many megabytes refused that are no message."""
    async with grpc.aio.insecure_channel(target.address) as channel:
        for _ in range(count):
            with pytest.raises(grpc.aio.AioRpcError):
                await first_answer(channel, method, b"\x0a" + b"\xff" * (1 << 20))
