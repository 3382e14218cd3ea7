"""Bytes that are not gRPC, on both ports: the server lives, keeps its memory, and tells nothing of its inside."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from fuzz.conftest import INTERNAL, Target
from fuzz.connections import ATTACKS, Attack

# How long a connection is left open for an answer.
PATIENCE_S = 0.05


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_each_attack_leaves_the_server_well(target: Target, attack: Attack):
    with target.watched():
        assert await storm(target, [attack], 40) == 40


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
async def test_a_hundred_thousand_connections_leave_the_server_well(target: Target):
    await storm(target, ATTACKS, 5_000)  # what is allocated once
    with target.watched():
        assert await storm(target, ATTACKS, 50_000) == 50_000


async def test_the_server_answers_while_it_is_attacked(target: Target):
    attacked = asyncio.create_task(storm(target, ATTACKS, 300))
    for _ in range(3):
        await asyncio.to_thread(target.assert_well)
    await attacked


async def storm(target: Target, attacks, count: int, concurrency: int = 32) -> int:
    """Make so many connections, some of them at a time; return how many were made."""
    host, _, port = target.address.rpartition(":")
    chance, left, made = random.Random(count), iter(range(count)), 0
    methods = [f"/{target.service.full_name}/{method.name}" for method in target.service.methods]

    async def one_after_the_other() -> None:
        nonlocal made
        for _ in left:
            data = chance.choice(attacks)(chance, chance.choice([*methods, "/", "/grpc.health.v1.Health/Check"]))
            heard = await exchange(host, int(port), data)
            assert not INTERNAL.search(heard.decode("latin-1")), heard[:500]
            made += 1

    await asyncio.gather(*(one_after_the_other() for _ in range(concurrency)))
    return made


async def exchange(host: str, port: int, data: bytes) -> bytes:
    """Send bytes on a connection of their own; return what comes back within the patience there is."""
    reader, writer = await asyncio.open_connection(host, port)
    heard = bytearray()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            writer.write(data)
            await writer.drain()
            while part := await reader.read(1 << 16):
                heard += part
    writer.transport.abort()
    return bytes(heard)
