"""The event loop of a server process."""

from __future__ import annotations

import asyncio
import os
import signal

import grpc
import pytest
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from whence_service.rpc.hosting import HostSettings, RpcHost, termination
from whence_service.rpc.loop import run_process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no uvloop for Windows")


def test_a_server_answers_on_uvloop_over_a_unix_socket_until_it_is_signalled(tmp_path):
    events = []

    async def serve():
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        host = RpcHost(HostSettings(address=f"unix:{tmp_path}/server.sock", drain_s=0), [], [])
        with termination() as terminated:
            async with grpc.aio.insecure_channel(await host.start()) as channel:
                await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="liveness"))
                events.append("answered")
            os.kill(os.getpid(), signal.SIGTERM)
            await terminated.wait()
            events.append("terminated")
        await host.drain()
        events.append("drained")

    run_process(serve())
    assert events == ["answered", "terminated", "drained"]
