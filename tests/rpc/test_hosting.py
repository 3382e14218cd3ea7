"""The smaller parts of hosting: reflection, overall health, deadlines, stages, logs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math

import grpc
import pytest
import structlog
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from whence.errors import DeadlineError, InternalError
from whence.v1 import attribution_pb2, attribution_service_pb2, attribution_service_pb2_grpc
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.health import HealthService
from whence_service.rpc.hosting import HostSettings, RpcHost
from whence_service.rpc.logging import configure_logging, log_calls
from whence_service.rpc.records import CallRecord, StageRecord
from whence_service.rpc.stages import Stopwatch


async def test_reflection_lists_the_service(start_front, worker):
    front = await start_front(worker, reflection=True)
    call = reflection_pb2_grpc.ServerReflectionStub(front.channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    services = [service.name async for answer in call for service in answer.list_services_response.service]
    assert "whence.v1.AttributionService" in services


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_is_there_in_both_versions(start_front, worker, version):
    front = await start_front(worker, reflection=True)
    call = front.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda message: message,
        response_deserializer=lambda message: message,
    )
    asked = [b"\x3a\x00", b"\x22\x1cwhence.v1.AttributionService"]  # list_services, file_containing_symbol
    names, file = [answer async for answer in call(iter(asked))]
    for name in (b"whence.v1.AttributionService", b"grpc.reflection.v1.ServerReflection", b"grpc.health.v1.Health"):
        assert name in names
    assert b"AttributeRequest" in file


async def test_reflection_may_be_left_out(start_front, worker):
    front = await start_front(worker, reflection=False)
    # Nothing is written: grpc.aio reports INTERNAL where a write comes after the refusal.
    call = front.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")()
    assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_long_call_whose_caller_asks_now_and_then_whether_we_are_there_is_not_cut_off(front, worker, ask):
    """gRPC's own limit is two such pings in a quiet call: every scan of some minutes would end UNAVAILABLE."""
    worker.stub.may_finish.clear()
    pinging = [("grpc.keepalive_time_ms", 1_500), ("grpc.http2.max_pings_without_data", 0)]
    async with grpc.aio.insecure_channel(front.address, options=pinging) as channel:
        stub = attribution_service_pb2_grpc.AttributionServiceStub(channel)
        call = stub.Attribute(attribution_service_pb2.AttributeRequest(query=ask()))
        await asyncio.sleep(8)  # five pings; the third would be one too many
        worker.stub.may_finish.set()
        assert (await call).attribution.positive


async def test_a_server_that_ends_by_itself_ends_its_process():
    host = RpcHost(HostSettings(address="127.0.0.1:0"), [], [])
    await host.start()
    serving = asyncio.create_task(host.serve_until(asyncio.Event()))
    await asyncio.sleep(0)
    await host.server.stop(None)
    with pytest.raises(InternalError, match="ended by itself"):
        await asyncio.wait_for(serving, 10)


async def test_a_server_that_is_told_to_stop_stops_afterwards():
    host, terminated = RpcHost(HostSettings(address="127.0.0.1:0", drain_s=0), [], []), asyncio.Event()
    await host.start()
    serving = asyncio.create_task(host.serve_until(terminated))
    terminated.set()
    await asyncio.wait_for(serving, 10)
    await asyncio.wait_for(host.drain(), 10)


def test_overall_health_needs_every_service_and_liveness_none():
    health = HealthService(["a", "b"])
    health.set_serving("a", True)
    assert (health.is_serving(""), health.is_serving("liveness")) == (False, True)
    health.set_serving("b", True)
    assert health.is_serving("")
    health.drain()
    health.set_serving("a", True)
    assert (health.is_serving("a"), health.is_serving("liveness")) == (False, True)
    with pytest.raises(KeyError):
        health.set_serving("typo", True)


def test_a_deadline_forwards_what_is_left_less_a_margin():
    assert Deadline().forward_s() is None
    assert 8.5 < Deadline.after(10).forward_s(margin_s=1) <= 9
    with pytest.raises(DeadlineError):
        Deadline.after(0.5).forward_s(margin_s=1)
    assert math.isinf(Deadline().remaining_s())


def test_stages_add_up_and_only_our_own_are_observed():
    seen = []
    watch = Stopwatch(seen.append)
    watch.add("merge", 1.0)
    watch.add("merge", 2.0)
    watch.merge([attribution_pb2.StageTiming(stage="score", seconds=4.0)])
    assert {timing.stage: timing.seconds for timing in watch.timings()} == {"merge": 3.0, "score": 4.0}
    assert seen == [StageRecord(stage="merge", duration_s=1.0), StageRecord(stage="merge", duration_s=2.0)]


def test_a_stage_that_fails_is_measured_all_the_same():
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.stage("score"):
        raise ZeroDivisionError
    assert [timing.stage for timing in watch.timings()] == ["score"]


@pytest.fixture
def log_lines():
    """Configure JSON logging into memory, and undo it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def test_a_call_is_one_line_of_json(log_lines):
    record = CallRecord(service="s", method="m", code="OK", duration_s=0.5, request_id="r1")
    log_calls(record)
    log_calls(StageRecord(stage="merge", duration_s=1.0))
    (line,) = log_lines()
    assert (line["event"], line["level"], line["logger"]) == ("call", "info", "whence.calls")
    assert (line["method"], line["code"], line["duration_s"], line["request_id"]) == ("m", "OK", 0.5, "r1")


HOSTILE = "\x1b[2J\x9b31m\u202e\r\n[red]"


def test_what_callers_send_is_harmless_in_a_log_of_json_and_whole(log_lines):
    structlog.get_logger("x").info("failed", error=HOSTILE)
    assert log_lines()[0]["error"] == HOSTILE


def test_no_line_of_either_log_steers_a_terminal():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for kind in ("json", "console"):
        stream = io.StringIO()
        configure_logging(kind, stream=stream)
        structlog.get_logger("x").info("failed", error=HOSTILE)
        logging.getLogger("y").warning("from %s", HOSTILE)
        assert len(stream.getvalue().splitlines()) == 2
        assert set(stream.getvalue()).isdisjoint("\x1b\x9b\u202e\r")
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_fails_no_call(log_lines):
    configure_logging("json", stream=FullDisk())
    log_calls(CallRecord(service="s", method="m", code="OK", duration_s=0.5, request_id="r1"))
    assert log_lines() == []


def test_polls_that_succeed_do_not_fill_the_log(log_lines):
    for code in ("OK", "UNAVAILABLE"):
        log_calls(CallRecord(service="s", method="GetInfo", code=code, duration_s=0.5, request_id="r1"))
    assert [line["code"] for line in log_lines()] == ["UNAVAILABLE"]


def test_tracebacks_in_the_log_have_no_local_variables(log_lines):
    text = "what the user wrote"
    try:
        raise ValueError(len(text))
    except ValueError:
        structlog.get_logger("x").exception("failed")
    logging.getLogger("y").warning("from %s", "the standard library")
    ours, theirs = log_lines()
    assert "ValueError" in json.dumps(ours)
    assert text not in json.dumps(ours)
    assert (theirs["event"], theirs["level"]) == ("from the standard library", "warning")
