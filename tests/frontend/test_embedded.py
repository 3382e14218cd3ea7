"""Front end and worker in one process: how they are connected and in which order they stop."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import grpc
import pytest
from pydantic import BaseModel

from frontend.stub_worker import StubWorker, host_stub
from whence.v1 import attribution_service_pb2, attribution_service_pb2_grpc
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.embedded import embedded


class StubSettings(BaseModel):
    address: str = "127.0.0.1:1"
    drain_s: float = 99.0
    fails: bool = False
    tls_certificate: str | None = "server.crt"


class StubProcess:
    """Stands where the real worker does, which needs a model."""

    made: ClassVar[list[StubProcess]] = []

    def __init__(self, settings, *, tracer):
        self.settings = settings
        self.tracer = tracer
        self.stopped = False
        StubProcess.made.append(self)

    async def start(self):
        self.host, address = await host_stub(StubWorker(), self.settings.address)
        return address

    async def wait_ready(self):
        if self.settings.fails:
            raise ValueError("no such model")

    async def stop(self):
        await self.host.server.stop(None)
        self.stopped = True


@pytest.fixture
def stub_process(monkeypatch):
    module = ModuleType("whence_backends.worker.serving.server")
    module.Worker = StubProcess
    monkeypatch.setitem(sys.modules, "whence_backends.worker.serving.server", module)
    monkeypatch.setattr(StubProcess, "made", [])
    return StubProcess


@pytest.fixture
def settings():
    return FrontEndSettings(address="127.0.0.1:0", drain_s=0.0, grace_s=1.0)


async def test_a_query_is_answered_by_the_worker_inside(stub_process, settings, ask):
    async with embedded(settings, StubSettings()) as front:
        async with grpc.aio.insecure_channel(await front.start()) as channel:
            stub = attribution_service_pb2_grpc.AttributionServiceStub(channel)
            answer = await stub.Attribute(attribution_service_pb2.AttributeRequest(query=ask()))
        await front.stop()
    assert answer.attribution.positive


async def test_the_worker_is_private_and_nothing_of_it_is_left(stub_process, settings):
    async with embedded(settings, StubSettings()) as front:
        (worker,) = stub_process.made
        assert worker.settings.address.startswith("unix:")
        assert worker.settings.drain_s == 0
        assert worker.settings.tls_certificate is None  # a unix socket has no TLS
        assert front.settings.workers == (worker.settings.address,)
    assert worker.stopped
    assert not Path(worker.settings.address.removeprefix("unix:")).parent.exists()


async def test_a_worker_that_cannot_load_says_why_and_is_stopped(stub_process, settings):
    with pytest.raises(ValueError, match="no such model"):
        async with embedded(settings, StubSettings(fails=True)):
            pass
    assert stub_process.made[0].stopped
