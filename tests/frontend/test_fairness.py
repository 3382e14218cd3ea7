"""Calls of several tenants at one front end, over sockets."""

from __future__ import annotations

import asyncio

from access.conftest import add_key, keys_file
from whence.v1 import attribution_service_pb2 as messages

__all__ = ["add_key", "keys_file"]


async def test_sixteen_scans_of_one_tenant_do_not_keep_a_small_call_of_another_waiting(
    start_front, worker, keys_file, add_key, ask, eventually
):
    busy, other = ([("authorization", f"Bearer {add_key(tenant=name).text}")] for name in ("busy", "other"))
    front = await start_front(worker, keys_file=keys_file)
    worker.stub.may_finish.clear()
    scans = [
        asyncio.ensure_future(front.stub.Attribute(messages.AttributeRequest(query=ask()), metadata=busy))
        for _ in range(16)
    ]
    await eventually(lambda: repr(front.front.admission) == "<Admission running=12/16 waiting=4/128>")
    known = messages.SequenceSelector(sequence_id="doc1#0")
    small = messages.ScoreRequest(queries=[ask()], sequences=[known])
    assert (await front.stub.Score(small, metadata=other, timeout=20)).sequences
    assert not any(scan.done() for scan in scans)
    worker.stub.may_finish.set()
    await asyncio.gather(*scans)


async def test_workers_are_told_whose_call_it_is(start_front, worker, keys_file, add_key, ask):
    key = [("authorization", f"Bearer {add_key(tenant='Fürth & Söhne').text}"), ("x-whence-tenant", "another")]
    front = await start_front(worker, keys_file=keys_file)
    await front.stub.Attribute(messages.AttributeRequest(query=ask()), metadata=key)
    assert worker.stub.tenants == ["Fürth & Söhne"]
