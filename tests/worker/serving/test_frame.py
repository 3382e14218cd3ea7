"""The frame of the worker's calls: every call, also one that is added later, refuses and reports alike."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from whence.errors import MismatchError
from whence.worker.v1 import worker_service_pb2 as pb
from worker.harness import Running, ask, drain, failure, until

SERVICE = pb.DESCRIPTOR.services_by_name["WorkerService"]
FRAMED = [method.name for method in SERVICE.methods if method.name != "GetInfo"]


def request(name: str, **fields: Any) -> Any:
    return getattr(pb, SERVICE.methods_by_name[name].input_type.name)(**fields)


@pytest.mark.parametrize("name", FRAMED)
async def test_a_call_for_other_artefacts_is_refused(tiny: Running, name: str):
    other = pb.Generation(model_digest="blake3:other")
    error = await failure(getattr(tiny.stub, name)(request(name, generation=other)))
    assert isinstance(error, MismatchError)
    assert (error.reason, error.details["asked"]) == ("GENERATION_MISMATCH", "blake3:other")


@pytest.mark.parametrize(
    "name",
    [
        "PrepareQueries",
        "Scan",
        "CountTokens",
        "MatchTokens",
        "OverlapTokens",
        "DrawSequences",
        "Rescore",
        "ScoreSequences",
    ],
)
async def test_the_last_response_of_a_call_says_where_its_time_went(tiny: Running, name: str):
    known = {
        "queries": [pb.TokenWeights(tokens=[1], weights=[1.0])] if name == "MatchTokens" else [ask()],
        "shards": [shard.shard for shard in tiny.shards],
        "positions": [0],
        "sequences": [pb.SequenceReference(position=0)],
        "top_k": 1,
        "candidates": 1,
        "count": 1,
        "ngram": 2,
    }
    taken = {field.name for field in SERVICE.methods_by_name[name].input_type.fields}
    fields = {field: value for field, value in known.items() if field in taken}
    call = getattr(tiny.stub, name)(request(name, generation=tiny.generation, **fields))
    last = (await drain(call))[-1] if hasattr(call, "__aiter__") else await call
    assert last.timings


async def test_calls_of_one_tenant_leave_a_place_and_the_engines_next_turn_to_those_of_another(tiny: Running):
    began, gate = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    tiny.engine.before = lambda _: (loop.call_soon_threadsafe(began.set), gate.wait(10))
    busy = [("x-whence-tenant", "a%20b")]
    scans = [asyncio.ensure_future(drain(tiny.stub.Scan(tiny.scan_request(ask()), metadata=busy))) for _ in range(4)]
    await began.wait()
    await until(lambda: "running=3/4 waiting=1/" in repr(tiny.worker._admission))
    await until(lambda: tiny.worker._thread.waiting > 0)
    small = asyncio.ensure_future(tiny.stub.PrepareQueries(
        request("PrepareQueries", generation=tiny.generation, queries=[ask(completion="owl")]),
        metadata=[("x-whence-tenant", "c")],
    ))  # fmt: skip
    await until(lambda: "running=4/4" in repr(tiny.worker._admission))
    gate.set()
    await small
    assert not any(scan.done() for scan in scans)
    await asyncio.gather(*scans)


async def test_each_stage_of_a_call_is_observed_once(tiny: Running):
    response = await tiny.score(queries=[ask()], sequences=[pb.SequenceReference(position=0)])
    registry = tiny.worker.registry
    for timing in response.timings:
        assert registry.get_sample_value("whence_stage_duration_seconds_count", {"stage": timing.stage}) == 1
